/* Giving up root: what must be kept of it follows from the configuration, and what is lost by it is
 * said. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "daemon/privileges.h"
#include "daemon/state.h"
#include "io/sys.h"

static bool has_low_port(const struct config_target_rules *rules)
{
    for (size_t i = 0; i < rules->n; i++)
        if (rules->items[i].port_from < 1024)
            return true;
    return false;
}

/* For datagrams and BIND, of whoever asks for them. */
static bool has_low_ports(const struct config_command *command)
{
    return command->enabled && command->ports.from > 0 && command->ports.from < 1024;
}

/* What a reload may do too, as long as the configuration names it at the start. */
static struct privileges_need needed_by(const struct daemon *daemon)
{
    const struct config *config = daemon->runtime->config;
    struct privileges_need need = {0};
    for (size_t i = 0; i < daemon->listening.n_addrs; i++)
        need.low_ports |= daemon->listening.addrs[i].port < 1024;
    for (size_t i = 0; i < config->n_inbounds; i++) {
        const struct config_inbound *inbound = &config->inbounds[i];
        need.low_ports |= has_low_ports(&inbound->udp) || has_low_ports(&inbound->bind);
        need.low_ports |= has_low_port(&inbound->allow_reverse);
        for (size_t j = 0; j < inbound->n_tunnel_users; j++)
            need.low_ports |= has_low_port(&inbound->tunnel_users[j].allow_reverse);
    }
    for (size_t i = 0; i < config->n_outbounds; i++) {
        need.net_admin |= config->outbounds[i].fwmark != 0;
        need.net_raw |= config->outbounds[i].interface != NULL;
    }
    return need;
}

static void warn_if_unreadable(struct daemon *daemon, const char *path)
{
    int fd = sys_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd >= 0)
        sys_close(fd);
    else
        log_say(daemon->workers[0]->env.log, LOG_LEVEL_WARN,
                "the user this runs as cannot read %s again (%s): a reload will be refused "
                "(`chown %s %s` lets him, or set `user`)",
                path, strerror(errno), daemon->runtime->config->user, path);
}

static bool may_mark(uint32_t mark)
{
    int fd = sys_socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return true; /* which says nothing */
    bool may = sys_setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0 || errno != EPERM;
    sys_close(fd);
    return may;
}

static void warn_of_marks(struct daemon *daemon)
{
    const struct config *config = daemon->runtime->config;
    for (size_t i = 0; i < config->n_outbounds; i++) {
        const struct config_outbound *outbound = &config->outbounds[i];
        if (outbound->fwmark != 0 && !may_mark(outbound->fwmark))
            log_say(daemon->workers[0]->env.log, LOG_LEVEL_WARN,
                    "out=%s: nothing will get through, as `fwmark` is not permitted: start as "
                    "root, or with CAP_NET_ADMIN",
                    outbound->name);
    }
}

int daemon_drop_privileges(struct daemon *daemon)
{
    const struct config *config = daemon->runtime->config;
    struct privileges_need need = needed_by(daemon);
    char message[PRIVILEGES_MESSAGE_BYTES];
    enum err err = privileges_drop(config->user, &need, message);
    if (err != ERR_NONE) {
        fprintf(stderr, "sockeye: %s\n", message);
        if (err == ERR_NOT_FOUND)
            return EX_CONFIG;
        return err == ERR_PERMITTED ? EX_NOPERM : EX_OSERR;
    }
    if (daemon->options->config_path != NULL)
        warn_if_unreadable(daemon, daemon->options->config_path);
    for (size_t i = 0; i < config->n_files; i++)
        warn_if_unreadable(daemon, config->files[i]);
    warn_of_marks(daemon);
    return EX_OK;
}

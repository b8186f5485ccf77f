/*
 * A question goes through here:
 *
 *     resolver_ask -> localhost? -> hosts file? -> cache? -> the same question out already? wait too
 *                       else a new entry, and out it goes, candidate by candidate of the search list
 *
 *     ASKED --answer--> ANSWERED --no such name, and a further candidate--> ASKED
 *                          |
 *                          +--> FINISHED --everybody who waits is told--> KEPT, or dropped
 *
 * c-ares may answer from inside a call of ours, so an answer only moves its entry from one list to
 * the next; settle() goes on from there when c-ares has been left. Who waits is told by deliver(),
 * from an event or at the end of the turn, never from inside resolver_ask().
 *
 * The search list is walked here and not by c-ares, which goes on to the next domain when a name
 * is there without an address of the family asked for. As A and AAAA are asked apart, that would
 * give a host with IPv4 only the IPv6 address of another one that the next domain happens to have.
 */
#include "io/resolver.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/dns_cache.h"
#include "io/dns_channel.h"
#include "io/dns_name.h"
#include "io/hosts.h"
#include "io/resolv_conf.h"
#include "io/textfile.h"

#define DEFAULT_MAX_TTL_S 3600
#define DEFAULT_MAX_ENTRIES 4096
#define LOOK_EVERY_MS 1000
/* A browser asks for the same dead name ten times at once and again for each thing on the page;
 * longer than this nobody shall wait for a name that has just come up. */
#define NEGATIVE_S 3

struct resolver {
    struct loop *loop;
    struct dns_channel *channel;
    struct dns_cache cache;
    struct list asked, answered, finished; /* entries by their state */
    struct deferred deferred;              /* delivers what is finished */
    bool is_deferred, is_freed;

    struct resolver_servers {
        struct addr items[RESOLVER_MAX_SERVERS]; /* given; none: those of resolv.conf */
        size_t n;
    } servers, next_servers;
    struct dns_channel *next_channel; /* to next_servers; NULL: no change is prepared */
    uint32_t max_ttl_s;

    struct textfile hosts_file, resolv_file;
    struct hosts *hosts;
    struct resolv_conf conf;
    uint64_t looked_ms; /* when the files were looked at; 0: not yet */
};

static void move_to(struct list *list, struct dns_entry *entry, enum dns_entry_state state)
{
    list_remove(&entry->link);
    list_append(list, &entry->link);
    entry->state = state;
}

static void finish(struct resolver *resolver, struct dns_entry *entry, enum err err,
                   uint32_t keep_s)
{
    entry->err = err;
    entry->keep_s = keep_s;
    move_to(&resolver->finished, entry, DNS_ENTRY_FINISHED);
}

static enum err take_addrs(struct dns_entry *entry, const struct dns_answer *answer)
{
    entry->addrs = calloc(answer->n_addrs, sizeof *entry->addrs);
    if (entry->addrs == NULL)
        return ERR_MEMORY;
    memcpy(entry->addrs, answer->addrs, answer->n_addrs * sizeof *entry->addrs);
    entry->n_addrs = answer->n_addrs;
    return ERR_NONE;
}

static void on_answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct dns_entry *entry = CONTAINER_OF(query, struct dns_entry, query);
    struct resolver *resolver = query->owner;
    entry->err = ERR_LOOKUP;
    entry->keep_s = NEGATIVE_S;
    entry->try_next = false;
    switch (answer->outcome) {
    case DNS_FOUND:
        entry->err = take_addrs(entry, answer);
        entry->keep_s = entry->err != ERR_NONE                ? 0
                        : answer->ttl_s < resolver->max_ttl_s ? answer->ttl_s
                                                              : resolver->max_ttl_s;
        break;
    case DNS_NO_DATA:
        break;
    case DNS_NO_NAME:
    case DNS_SERVER_FAILED:
        entry->try_next = true;
        break;
    case DNS_NOT_ASKED:
        entry->err = answer->err;
        entry->keep_s = 0;
        break;
    }
    move_to(&resolver->answered, entry, DNS_ENTRY_ANSWERED);
}

/* Asks for the entry's next candidate; where there is none, what the last one gave is the answer. */
static void ask_next(struct resolver *resolver, struct dns_entry *entry)
{
    char name[DNS_CANDIDATE_BYTES];
    enum err err = ERR_BAD;
    while (err == ERR_BAD) {
        if (!dns_name_candidate(name, entry->name, &resolver->conf, entry->n_candidates)) {
            finish(resolver, entry, ERR_LOOKUP, NEGATIVE_S);
            return;
        }
        entry->n_candidates++;
        move_to(&resolver->asked, entry, DNS_ENTRY_ASKED);
        entry->query.owner = resolver;
        err = dns_channel_ask(resolver->channel, &entry->query, name, entry->family, on_answered);
    }
    if (err != ERR_NONE)
        finish(resolver, entry, err, 0);
}

/* Deals with the answers that are there. */
static void settle(struct resolver *resolver)
{
    while (!list_empty(&resolver->answered)) {
        struct dns_entry *entry = CONTAINER_OF(resolver->answered.next, struct dns_entry, link);
        if (entry->try_next)
            ask_next(resolver, entry);
        else
            finish(resolver, entry, entry->err, entry->keep_s);
    }
}

/* Keeps a finished entry or drops it; what is lent of it stays until it is given back. */
static void keep_or_drop(struct resolver *resolver, struct dns_entry *entry)
{
    list_remove(&entry->link);
    if (entry->keep_s == 0) {
        dns_cache_drop(&resolver->cache, entry);
        return;
    }
    entry->expires_ms = loop_now_ms(resolver->loop) + (uint64_t)entry->keep_s * 1000;
    dns_cache_keep(&resolver->cache, entry);
}

static void set_answer(struct lookup *lookup, enum err err, const struct addr *addrs,
                       size_t n_addrs)
{
    lookup->err = n_addrs == 0 && err == ERR_NONE ? ERR_LOOKUP : err;
    lookup->addrs = addrs;
    lookup->n_addrs = n_addrs;
}

static void tell(struct resolver *resolver, struct dns_entry *entry)
{
    struct list waiters;
    list_init(&waiters);
    list_move_all(&waiters, &entry->waiters);
    /* Whoever is told may ask again, for the same name too, or refresh. */
    entry->is_lent = true;
    keep_or_drop(resolver, entry);
    while (!list_empty(&waiters)) {
        struct lookup *lookup = CONTAINER_OF(waiters.next, struct lookup, link);
        list_remove(&lookup->link);
        lookup->pending = false;
        set_answer(lookup, entry->err, entry->addrs, entry->n_addrs);
        lookup->done(lookup);
    }
    dns_cache_give_back(entry);
}

static void deliver(struct resolver *resolver)
{
    while (!list_empty(&resolver->finished))
        tell(resolver, CONTAINER_OF(resolver->finished.next, struct dns_entry, link));
}

static void on_settled(void *owner)
{
    struct resolver *resolver = owner;
    settle(resolver);
    deliver(resolver);
}

static void on_deferred(struct deferred *deferred)
{
    struct resolver *resolver = CONTAINER_OF(deferred, struct resolver, deferred);
    resolver->is_deferred = false;
    if (resolver->is_freed)
        free(resolver);
    else
        deliver(resolver);
}

/* Asks again whatever nobody has been told yet, where somebody waits to be. */
static void ask_anew(struct resolver *resolver)
{
    struct list again;
    list_init(&again);
    list_move_all(&again, &resolver->asked);
    list_move_all(&again, &resolver->finished);
    while (!list_empty(&again)) {
        struct dns_entry *entry = CONTAINER_OF(again.next, struct dns_entry, link);
        if (list_empty(&entry->waiters)) {
            dns_cache_drop(&resolver->cache, entry);
            continue;
        }
        free(entry->addrs);
        entry->addrs = NULL;
        entry->n_addrs = 0;
        entry->n_candidates = 0;
        ask_next(resolver, entry);
    }
    settle(resolver);
    if (!list_empty(&resolver->finished) && !resolver->is_deferred) {
        resolver->is_deferred = true;
        loop_defer(resolver->loop, &resolver->deferred, on_deferred);
    }
}

static void read_hosts(struct resolver *resolver)
{
    char *text;
    size_t n;
    if (textfile_read(&resolver->hosts_file, &text, &n) != ERR_NONE)
        return;
    struct hosts *hosts;
    if (hosts_parse(&hosts, text, n) == ERR_NONE) {
        hosts_free(resolver->hosts);
        resolver->hosts = hosts;
    } else {
        textfile_forget(&resolver->hosts_file);
    }
    free(text);
}

/* As the system does: without a word in the file the domain is that of the machine's own name. */
static void add_own_domain(struct resolv_conf *conf)
{
    char name[HOST_NAME_MAX_BYTES + 1];
    if (conf->has_domains || gethostname(name, sizeof name) != 0)
        return;
    name[sizeof name - 1] = '\0';
    const char *dot = strchr(name, '.');
    if (dot != NULL)
        resolv_conf_set_domain(conf, dot + 1);
}

static enum err open_channel(struct resolver *resolver, const struct resolv_conf *conf,
                             const struct resolver_servers *servers, struct dns_channel **out)
{
    static const struct addr own_machine = {.family = ADDR_V4, .ip = {127, 0, 0, 1}};
    struct dns_channel_options options = {
        .servers = &own_machine,
        .n_servers = 1,
        .timeout_ms = conf->timeout_ms,
        .n_attempts = conf->n_attempts,
        .rotate = conf->rotate,
        .use_tcp = conf->use_tcp,
        .settle = on_settled,
        .owner = resolver,
    };
    if (servers->n > 0) {
        options.servers = servers->items;
        options.n_servers = servers->n;
    } else if (conf->n_servers > 0) {
        options.servers = conf->servers;
        options.n_servers = conf->n_servers;
    }
    return dns_channel_new(out, resolver->loop, &options);
}

/* True: resolv.conf has changed, and there is a new channel that nothing has been asked on yet. */
static bool read_resolv_conf(struct resolver *resolver)
{
    char *text;
    size_t n;
    if (textfile_read(&resolver->resolv_file, &text, &n) != ERR_NONE)
        return false;
    struct resolv_conf conf;
    resolv_conf_parse(&conf, text, n);
    free(text);
    add_own_domain(&conf);
    /* A change that is prepared comes into force without another look at the file. */
    struct dns_channel *channel = NULL, *next = NULL;
    enum err err = open_channel(resolver, &conf, &resolver->servers, &channel);
    if (err == ERR_NONE && resolver->next_channel != NULL)
        err = open_channel(resolver, &conf, &resolver->next_servers, &next);
    if (err != ERR_NONE) {
        dns_channel_free(channel);
        textfile_forget(&resolver->resolv_file);
        return false;
    }
    dns_channel_free(resolver->channel);
    dns_channel_free(resolver->next_channel);
    resolver->channel = channel;
    resolver->next_channel = next;
    resolver->conf = conf;
    return true;
}

static bool is_look_due(const struct resolver *resolver)
{
    return resolver->looked_ms == 0 ||
           loop_now_ms(resolver->loop) - resolver->looked_ms >= LOOK_EVERY_MS;
}

/* True: see read_resolv_conf(). */
static bool look_at_files(struct resolver *resolver)
{
    resolver->looked_ms = loop_now_ms(resolver->loop);
    read_hosts(resolver);
    return read_resolv_conf(resolver);
}

/* Answers without asking anybody; false: somebody must be asked. */
static bool answer_here(struct resolver *resolver, struct lookup *lookup,
                        const struct dns_name *name, enum addr_family family)
{
    static const struct addr loopback_v4 = {.family = ADDR_V4, .ip = {127, 0, 0, 1}};
    static const struct addr loopback_v6 = {.family = ADDR_V6, .ip = {[15] = 1}};
    const struct addr *addrs;
    size_t n_addrs;
    if (dns_name_is_in(name->text, "localhost"))
        set_answer(lookup, ERR_NONE, family == ADDR_V4 ? &loopback_v4 : &loopback_v6, 1);
    else if (hosts_find(resolver->hosts, name->text, family, &addrs, &n_addrs))
        set_answer(lookup, ERR_NONE, addrs, n_addrs);
    else if (dns_name_is_in(name->text, "onion")) /* never to be asked in DNS: RFC 7686 */
        set_answer(lookup, ERR_LOOKUP, NULL, 0);
    else
        return false;
    return true;
}

/* The kept answer is given, or a question that is out already is waited for. */
static enum err join(struct resolver *resolver, struct lookup *lookup, struct dns_entry *entry)
{
    if (entry->state == DNS_ENTRY_KEPT) {
        dns_cache_touch(&resolver->cache, entry);
        set_answer(lookup, entry->err, entry->addrs, entry->n_addrs);
        return ERR_NONE;
    }
    lookup->pending = true;
    list_append(&entry->waiters, &lookup->link);
    return ERR_AGAIN;
}

static struct dns_entry *find_fresh(struct resolver *resolver, const char *key,
                                    enum addr_family family)
{
    struct dns_entry *entry = dns_cache_find(&resolver->cache, key, family);
    if (entry == NULL || entry->state != DNS_ENTRY_KEPT ||
        loop_now_ms(resolver->loop) < entry->expires_ms)
        return entry;
    dns_cache_drop(&resolver->cache, entry);
    return NULL;
}

enum err resolver_ask(struct resolver *resolver, struct lookup *lookup, const char *text,
                      enum addr_family family, void (*done)(struct lookup *))
{
    assert(!lookup->pending);
    lookup->done = done;
    set_answer(lookup, ERR_LOOKUP, NULL, 0);
    struct dns_name name;
    if (!dns_name_set(&name, text))
        return ERR_NONE;
    if (is_look_due(resolver) && look_at_files(resolver)) {
        dns_cache_flush(&resolver->cache);
        ask_anew(resolver);
    }
    if (answer_here(resolver, lookup, &name, family))
        return ERR_NONE;
    struct dns_entry *entry = find_fresh(resolver, name.key, family);
    if (entry != NULL)
        return join(resolver, lookup, entry);

    entry = dns_cache_add(&resolver->cache, name.key, family);
    if (entry == NULL) {
        lookup->err = ERR_MEMORY;
        return ERR_NONE;
    }
    ask_next(resolver, entry);
    settle(resolver);
    if (entry->state != DNS_ENTRY_FINISHED)
        return join(resolver, lookup, entry);
    /* It failed at once; so there are no addresses that could outlive the entry. */
    lookup->err = entry->err;
    keep_or_drop(resolver, entry);
    return ERR_NONE;
}

void resolver_cancel(struct lookup *lookup)
{
    if (!lookup->pending)
        return;
    list_remove(&lookup->link);
    lookup->pending = false;
}

void resolver_refresh(struct resolver *resolver)
{
    if (!look_at_files(resolver))
        dns_channel_cancel(resolver->channel);
    dns_cache_flush(&resolver->cache);
    ask_anew(resolver);
}

static enum err set_servers(struct resolver_servers *servers, const struct addr *items, size_t n)
{
    if (n > RESOLVER_MAX_SERVERS)
        return ERR_LIMIT;
    servers->n = n;
    for (size_t i = 0; i < n; i++)
        servers->items[i] = items[i];
    return ERR_NONE;
}

static bool are_same(const struct resolver_servers *a, const struct resolver_servers *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        if (!addr_equal(&a->items[i], &b->items[i], true))
            return false;
    }
    return a->n == b->n;
}

enum err resolver_prepare(struct resolver *resolver, const struct addr *servers, size_t n)
{
    resolver_forget(resolver);
    enum err err = set_servers(&resolver->next_servers, servers, n);
    if (err != ERR_NONE || are_same(&resolver->servers, &resolver->next_servers))
        return err;
    return open_channel(resolver, &resolver->conf, &resolver->next_servers,
                        &resolver->next_channel);
}

void resolver_forget(struct resolver *resolver)
{
    dns_channel_free(resolver->next_channel);
    resolver->next_channel = NULL;
}

void resolver_turn(struct resolver *resolver)
{
    if (resolver->next_channel == NULL)
        return;
    dns_channel_free(resolver->channel);
    resolver->channel = resolver->next_channel;
    resolver->next_channel = NULL;
    resolver->servers = resolver->next_servers;
    dns_cache_flush(&resolver->cache);
    ask_anew(resolver);
}

static enum err init(struct resolver *resolver, const struct resolver_options *options)
{
    const char *hosts_path = options->hosts_path != NULL ? options->hosts_path : "/etc/hosts";
    const char *resolv_path =
        options->resolv_path != NULL ? options->resolv_path : "/etc/resolv.conf";
    enum err err = set_servers(&resolver->servers, options->servers, options->n_servers);
    if (err != ERR_NONE)
        return err;
    resolver->max_ttl_s = options->max_ttl_s != 0 ? options->max_ttl_s : DEFAULT_MAX_TTL_S;
    err = dns_cache_init(&resolver->cache,
                         options->max_entries != 0 ? options->max_entries : DEFAULT_MAX_ENTRIES);
    if (err == ERR_NONE)
        err = textfile_init(&resolver->hosts_file, hosts_path);
    if (err == ERR_NONE)
        err = textfile_init(&resolver->resolv_file, resolv_path);
    if (err != ERR_NONE)
        return err;
    resolv_conf_parse(&resolver->conf, "", 0);
    if (look_at_files(resolver))
        return ERR_NONE;
    /* The file cannot be read now; it will be tried again. */
    return open_channel(resolver, &resolver->conf, &resolver->servers, &resolver->channel);
}

enum err resolver_new(struct resolver **out, struct loop *loop,
                      const struct resolver_options *options)
{
    struct resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL)
        return ERR_MEMORY;
    resolver->loop = loop;
    list_init(&resolver->asked);
    list_init(&resolver->answered);
    list_init(&resolver->finished);
    list_init(&resolver->cache.kept);
    enum err err = init(resolver, options);
    if (err != ERR_NONE) {
        resolver_free(resolver);
        return err;
    }
    *out = resolver;
    return ERR_NONE;
}

/* Nobody waits for these any more. */
static void let_go(struct list *entries)
{
    for (struct list *at = entries->next; at != entries; at = at->next) {
        struct dns_entry *entry = CONTAINER_OF(at, struct dns_entry, link);
        while (!list_empty(&entry->waiters))
            resolver_cancel(CONTAINER_OF(entry->waiters.next, struct lookup, link));
    }
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    let_go(&resolver->asked);
    let_go(&resolver->finished);
    dns_channel_free(resolver->channel);
    dns_channel_free(resolver->next_channel);
    dns_cache_deinit(&resolver->cache);
    textfile_deinit(&resolver->hosts_file);
    textfile_deinit(&resolver->resolv_file);
    hosts_free(resolver->hosts);
    resolver->is_freed = true;
    if (!resolver->is_deferred)
        free(resolver);
}

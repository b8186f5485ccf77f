/*
 * Logging in: what the protocol asks is answered at once, or later.
 *
 *     right, plain or known ----------------------------------------------> LOGIN_RIGHT
 *     hashed: VERIFYING --right--> RIGHT, the protocol asks again --------> LOGIN_RIGHT
 *                |------wrong----> WRONG, it asks again and is logged --.
 *     wrong --------------------------------------------------- logged -+
 *                                                                       v
 *                      PUNISHED (penalty_ms) --> DONE, it asks again --> LOGIN_WRONG
 *
 * Meanwhile the client's bytes are kept by the stage that the flow is in, and its end frees all.
 */
#include <stdlib.h>

#include "flow/stages.h"
#include "flow/users.h"

enum login_state {
    LOGIN_VERIFYING,
    LOGIN_VERIFIED_RIGHT,
    LOGIN_VERIFIED_WRONG,
    LOGIN_UNVERIFIED, /* the hash could not be computed */
    LOGIN_PUNISHED,
    LOGIN_DONE,
};

struct login {
    struct flow *flow;
    struct idle_wait penalty;
    struct verification *verification; /* while VERIFYING */
    const struct user *user;           /* whoever it is if the password is right; NULL: nobody */
    enum login_state state;
};

/* ---- going on ---- */

static void resume(struct flow *flow)
{
    if (flow->state == FLOW_HANDSHAKE)
        handshake_resume(flow);
    else if (flow->state == FLOW_EXCHANGING)
        exchanging_on_ready(flow, flow->client, LOOP_READ);
}

void login_on_penalty_over(struct idle_wait *wait)
{
    struct login *login = CONTAINER_OF(wait, struct login, penalty);
    login->state = LOGIN_DONE;
    resume(login->flow);
}

static void on_verdict(void *arg, enum verdict verdict)
{
    struct login *login = arg;
    login->verification = NULL;
    if (verdict == VERDICT_NONE && login->user != NULL)
        login->state = LOGIN_UNVERIFIED;
    else if (verdict == VERDICT_RIGHT && login->user != NULL)
        login->state = LOGIN_VERIFIED_RIGHT;
    else
        login->state = LOGIN_VERIFIED_WRONG;
    resume(login->flow);
}

void login_drop(struct flow *flow)
{
    struct login *login = flow->login;
    if (login == NULL)
        return;
    flow->login = NULL;
    if (login->verification != NULL)
        verification_abandon(login->verification);
    idle_leave(&login->penalty);
    free(login);
}

/* ---- wrong ---- */

static void log_failure(struct flow *flow, const char *user, size_t n_user, const char *method)
{
    flow->env->counters.refused[REFUSAL_LOGIN]++;
    struct log_line line;
    log_begin(&line, flow->env->log, LOG_LEVEL_WARN, "login");
    log_str(&line, "in", flow->inbound->name);
    flow_log_from(&line, &flow->from);
    log_bytes(&line, "user", user, n_user);
    log_str(&line, "method", method);
    log_end(&line);
}

static struct login *make_login(struct flow *flow)
{
    struct login *login = calloc(1, sizeof *login);
    if (login == NULL)
        return NULL;
    login->flow = flow;
    idle_wait_init(&login->penalty);
    flow->login = login;
    return login;
}

/* The answer waits, so that guessing is slow. Without memory for that it is given at once. */
static enum flow_login punish(struct flow *flow)
{
    if (flow->env->penalty.limit_ms == 0 || (flow->login == NULL && make_login(flow) == NULL)) {
        login_drop(flow);
        return LOGIN_WRONG;
    }
    flow->login->state = LOGIN_PUNISHED;
    idle_enter(&flow->env->penalty, &flow->login->penalty);
    return LOGIN_WAIT;
}

/* Not the client's fault, so it is not logged as a failed login; who guesses is slowed all the same. */
static enum flow_login refuse_unverified(struct flow *flow)
{
    flow_env_refuse(flow->env, REFUSAL_UNVERIFIED, flow->inbound->name, &flow->from);
    return punish(flow);
}

/* ---- asking ---- */

static enum flow_login verify(struct flow *flow, const struct user *user, const char *hash,
                              const char *password, size_t n_password)
{
    struct flow_env *env = flow->env;
    /* A name that is unknown is not looked up, so that it takes its time. */
    if (user != NULL && verifier_knows(env->shared->verifier, hash, password, n_password)) {
        flow->user = user->name;
        return LOGIN_RIGHT;
    }
    struct login *login = make_login(flow);
    if (login == NULL)
        return refuse_unverified(flow);
    login->user = user;
    const struct verifier_question question = {
        .hash = hash,
        .password = password,
        .n_password = n_password,
        .is_decoy = user == NULL,
        .from = &flow->from,
        .mailbox = env->mailbox,
        .done = on_verdict,
        .arg = login,
    };
    enum err err = verifier_begin(env->shared->verifier, &login->verification, &question);
    if (err == ERR_NONE)
        return LOGIN_WAIT;
    login->verification = NULL;
    return refuse_unverified(flow);
}

static enum flow_login begin(struct flow *flow, const char *name, size_t n_name,
                             const char *password, size_t n_password, const char *method)
{
    const struct user *user;
    const char *hash;
    switch (users_judge(flow->inbound->users, name, n_name, password, n_password, &user, &hash)) {
    case USERS_RIGHT:
        flow->user = user->name;
        return LOGIN_RIGHT;
    case USERS_HASHED:
        return verify(flow, user, hash, password, n_password);
    case USERS_WRONG:
        break;
    }
    log_failure(flow, name, n_name, method);
    return punish(flow);
}

enum flow_login flow_login(struct flow *flow, const char *user, size_t n_user, const char *password,
                           size_t n_password, const char *method)
{
    struct login *login = flow->login;
    if (login == NULL)
        return begin(flow, user, n_user, password, n_password, method);
    switch (login->state) {
    case LOGIN_VERIFYING:
    case LOGIN_PUNISHED:
        return LOGIN_WAIT;
    case LOGIN_VERIFIED_RIGHT:
        flow->user = login->user->name;
        login_drop(flow);
        return LOGIN_RIGHT;
    case LOGIN_VERIFIED_WRONG:
        log_failure(flow, user, n_user, method);
        return punish(flow);
    case LOGIN_UNVERIFIED:
        return refuse_unverified(flow);
    case LOGIN_DONE:
        break;
    }
    login_drop(flow);
    return LOGIN_WRONG;
}

/*
 * The simulator: near and far ends of tunnels in one process, over carriers that are cut, frozen, slow and late, with a virtual
 * clock and one seed. What happens follows from the seed alone, to the bit: its trace is hashed.
 *
 *     scenario   what the seed draws: sizes, times and which faults there are (knobs)
 *     carrier    a TCP connection: latency, bandwidth, queues, resets, freezing, late fins
 *     chain      a carrier that is a stream of another tunnel in the same world
 *     node       a process around peers, as src/tunnel/ is: near ones dial, far ones have gates
 *     app        what uses a stream at either end, and checks what it gets
 *     queue      what is due when
 *     drain      nodes that take no more streams
 *     memory     allocations that fail, bytes that are held, keys and nonces that were used
 *     world      the clock, the order of things, and what must hold
 */
#ifndef SOCKEYE_SIM_WORLD_H
#define SOCKEYE_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../unit/seeded.h"
#include "base/chunk.h"
#include "crypto/sign.h"
#include "link/handshake.h"
#include "link/replay.h"
#include "peer/gate.h"
#include "peer/near.h"
#include "peer/peer.h"

#define NEVER UINT64_MAX
#define MS UINT64_C(1000)
#define SECOND UINT64_C(1000000)

struct world;
struct node;

#define CHAIN_MAX_DEEP 2

/* ---- scenario ---- */

/* Each can be switched off by name, which is how a failing seed is shrunk. */
enum knob {
    KNOB_RESETS,  /* carriers are reset, at a byte or at a time */
    KNOB_FREEZES, /* they are frozen for a while, or for ever, in one direction or both */
    KNOB_LATE,    /* one end learns of a carrier's end late, or never */
    KNOB_DIALS,   /* attempts hang, fail, or come through when they were given up */
    KNOB_FAR_RESTARTS,
    KNOB_NEAR_RESTARTS,
    KNOB_CLOCKS, /* wrong by up to an hour */
    KNOB_MEMORY, /* allocations fail now and then */
    KNOB_TINY,   /* reads and writes of few bytes */
    KNOB_SLOW,   /* carriers with little bandwidth and short queues */
    KNOB_APP_RESETS,
    KNOB_SLUGGISH,    /* readers that are slow, or never read */
    KNOB_REFUSALS,    /* the far end's answer is a reply code */
    KNOB_WORKERS,     /* more than one gate */
    KNOB_NEARS,       /* more than one near end */
    KNOB_IDENTITY,    /* both ends have key pairs */
    KNOB_EARLY,       /* early records in fresh flights too */
    KNOB_THOUSANDS,   /* many short streams */
    KNOB_LINKS,       /* several links at once */
    KNOB_HANDOVER,    /* links are replaced by time, or by bytes */
    KNOB_DISTRIBUTED, /* streams have links of their own */
    KNOB_CHAINS,      /* tunnels through the first near end's, one or two deep */
    KNOB_DATAGRAMS,   /* some apps exchange datagrams */
    KNOB_REVERSE,     /* near ends have a listener, and some apps are opened by the far end */
    KNOB_USERS,       /* near ends are users, who are removed and come back */
    KNOB_DRAIN,       /* some nodes drain */
    KNOB_LISTENERS, /* listeners are refused, taken back, not wanted for a while, and several want the same */
    N_KNOBS
};

struct scenario {
    uint64_t seed;
    bool knobs[N_KNOBS];
    unsigned n_streams; /* of each near end */
    size_t max_bytes;   /* of one direction of a stream */
    unsigned n_nears, n_workers;
    unsigned n_deep; /* at most CHAIN_MAX_DEEP */
    enum gate_early early;
    bool signs_apart;
    unsigned n_links;
    size_t max_links; /* at the server; 0: no limit */
    struct near_range every, after;
    bool at_once;                     /* near ends have links before they have streams */
    uint64_t latency_us, ns_per_byte; /* of every carrier; 0: drawn */
    uint64_t cut_at; /* the first carrier is reset at this byte of that direction; 0: not */
    unsigned cut_line;
    uint64_t window_bytes, stream_window_bytes; /* of both ends */
    uint64_t heal_us;                           /* when faults end */
    uint64_t end_us;                            /* when all must be over */
};

void scenario_draw(struct scenario *scenario, uint64_t seed, const bool allowed[N_KNOBS]);
extern const char *const knob_names[N_KNOBS];

/* ---- queue ---- */

struct due {
    uint64_t at_us;
    size_t place; /* in the heap, from 1; 0: it is in none */
};

struct queue {
    struct due **heap;
    size_t n, cap;
};

/* It is due then, and not when it was to be before. NEVER takes it out. */
void queue_put(struct queue *queue, struct due *due, uint64_t at_us);
/* NULL: there is none. */
struct due *queue_first(const struct queue *queue);
uint64_t queue_next_us(const struct queue *queue);
void queue_deinit(struct queue *queue);

/* ---- carrier ---- */

struct segment {
    struct segment *next;
    uint64_t arrives_us;
    size_t n, start;
    uint8_t bytes[];
};

/* One direction. */
struct pipe_line {
    uint64_t latency_us, ns_per_byte;
    uint64_t free_us;   /* when the line has sent what it was given */
    size_t queue_bytes; /* the sender's buffer */
    struct segment *first, *last;
    uint64_t last_arrival_us;
    uint64_t frozen_from_us, frozen_until_us;
    uint64_t n_written, cut_at; /* both ends are reset when so many bytes were written */
    uint64_t fin_us;            /* when the fin arrives */
};

struct carrier_end {
    struct node *node;
    struct peer_link *link;
    bool is_open;    /* the node has not closed it */
    bool is_silent;  /* it is read, and nothing else */
    bool is_closing; /* a fin goes when the link has no more */
    bool has_fin;    /* the other's has come, and it has something to write still */
    bool has_shut;   /* it has gone, and the other's is read for */
    bool wants_write;
    uint64_t
        signs_us; /* when the signature that the link waits for is made; 0: it waits for none */
    uint64_t reset_us; /* when it sees a reset */
    /* Of one that is chained. */
    struct peer *peer;     /* near: who has asked for it; NULL: that is no more */
    struct stream *stream; /* NULL: it has gone, or is not there yet */
    bool is_dialling;
    bool is_ready;     /* there may be something to be read, or room */
    uint64_t retry_us; /* when it is written to again, for want of memory; 0: does not wait */
};

struct sim_carrier {
    struct list in_world;
    unsigned number;
    struct world *world;
    bool is_chained;            /* then it has ends only ... */
    struct peer *by;            /* ... and streams of this one's session; NULL: that is no more */
    struct pipe_line lines[2];  /* by the end that writes */
    struct carrier_end ends[2]; /* 0 near, 1 far */
};

struct sim_carrier *carrier_open(struct world *world, struct node *near, struct node *far);
void carrier_free(struct sim_carrier *carrier);
/* Returns how many bytes it takes. */
size_t carrier_write(struct sim_carrier *carrier, unsigned end, const uint8_t *bytes, size_t n);
enum carrier_read { CARRIER_BYTES, CARRIER_NOTHING, CARRIER_FIN, CARRIER_RESET };
enum carrier_read carrier_read(struct sim_carrier *carrier, unsigned end, uint8_t *bytes,
                               size_t cap, size_t *n);
void carrier_shut(struct sim_carrier *carrier, unsigned end);  /* our fin */
void carrier_abort(struct sim_carrier *carrier, unsigned end); /* a reset */
void carrier_reset(struct sim_carrier *carrier);               /* from between them */
/* When something happens on it next. */
uint64_t carrier_next_us(const struct sim_carrier *carrier);
bool carrier_is_due(const struct sim_carrier *carrier, unsigned end);

/* ---- chain ---- */

/* Opens a stream of the session that the node goes by; the peer is told what comes of it. False: it cannot be done now. */
bool chain_dial(struct node *near, struct peer *peer);
/* What a session tells. False: it is about no carrier. */
bool chain_event(struct world *world, const struct session_event *event);
/* The node's sessions are about to be freed. */
void chain_orphan(struct node *node);
/* The peer is no more. */
void chain_forget(struct world *world, const struct peer *peer);
/* Lets go of the streams of ends that are closed. */
void chain_sweep(struct world *world);
/* Whether its peers stand still. */
void chain_review(const struct node *near);
size_t chain_write(struct carrier_end *at, const uint8_t *bytes, size_t n);
enum carrier_read chain_read(struct carrier_end *at, uint8_t *bytes, size_t cap, size_t *n);
void chain_shut(struct carrier_end *at);
void chain_abort(struct carrier_end *at, bool by_reset);
uint64_t chain_next_us(const struct carrier_end *at);

/* ---- app ---- */

enum reader { READS_FAST, READS_SLOWLY, READS_NEVER };
enum app_close { CLOSES_FIRST, CLOSES_AFTER, CLOSES_BY_RESET };

#define APP_MAX_STEPS 6
#define ASSOCIATION_MAX_DATAGRAMS 200

/* What one end does. */
struct script {
    unsigned n_steps;
    struct app_step {
        uint64_t after_read; /* begins when so many bytes were read */
        uint64_t pause_us;
        uint64_t n_bytes;
    } steps[APP_MAX_STEPS];
    enum app_close close;
    enum reader reader;
    size_t write_bytes, read_bytes; /* at a time */
    uint64_t read_pause_us;
};

struct app_end {
    struct list in_world; /* in those that are there, or that are done */
    struct due due;
    struct app *app;
    struct node *node;
    const struct peer *peer; /* in whose session it has come; NULL: it has opened it */
    unsigned side;           /* 0: has opened it */
    struct stream *stream;
    unsigned step;
    uint64_t step_left, step_from_us;
    bool in_step;
    uint64_t n_read, n_written;
    bool can_read, can_write;
    bool has_finished, has_eof, is_done;
    uint64_t retry_us;  /* when it writes again, for want of memory; 0: does not wait */
    uint64_t answer_us; /* far: when it answers; 0: it did */
    uint64_t wake_us;
};

struct app {
    uint64_t key; /* what its bytes are made of */
    struct script scripts[2];
    uint8_t code; /* of the answer */
    uint64_t open_us;
    struct due opening;
    uint64_t over_us;
    bool was_reset[2]; /* that end's application has */
    bool has_arrived;  /* at the other end */
    uint64_t n_read[2], n_written[2],
        n_finished[2]; /* the most, of all that there were; finished: 1 + the size */
    struct app_end *near_end;
    bool is_over;   /* the near end's part is */
    bool completed; /* both directions, whole */
    uint8_t why;    /* enum stream_reset, if not */
    /* Of one that exchanges datagrams, of which its steps have n_bytes: */
    bool is_association;
    bool is_reverse;         /* opened by the far end, for a listener of the near end's */
    uint64_t n_datagrams[2]; /* sent by each side */
    bool has_come[2][ASSOCIATION_MAX_DATAGRAMS];
};

/* ---- association ---- */

/* Makes the app one of datagrams. */
void association_draw(struct app *app, struct rng *dice);
/* What it opens by at the near node: of kind RELAYED where a connection of the node's listener is there. */
struct stream_request association_request(const struct app *app, const struct node *near);
/* Whether an app has asked so, and which. False: that was said. */
bool association_key(struct world *world, const struct session *session,
                     const struct stream_request *request, uint64_t *key);
/* Sends one. */
void association_send(struct world *world, struct app_end *end);
/* Takes and checks what has come. True: that was the last. */
bool association_receive(struct world *world, struct app_end *end);

void app_draw(struct app *app, const struct scenario *scenario, struct seeded *dice, uint64_t key);
void app_open(struct world *world, struct app *app, struct node *near);
void app_incoming(struct world *world, struct node *far, struct peer *peer, struct stream *stream);
void app_event(struct world *world, const struct session_event *event);
void app_end_run(struct world *world, struct app_end *end);
/* Its session is no more: the process has ended. */
void app_end_orphan(struct world *world, struct app_end *end);

/* ---- node ---- */

#define NODE_MAX_DIALS 64
#define FAR_MAX_WORKERS 3

#define SIM_MAX_NODES (3 + 2 * CHAIN_MAX_DEEP)

struct sim_dial {
    struct peer *peer; /* who has asked for it; NULL: none */
    uint64_t at_us;    /* when it comes through or fails */
    bool fails;
};

#define SIM_MAX_LISTENERS 64

struct sim_listener {
    struct peer *peer;
    unsigned near; /* the node that has asked for it */
    uint16_t port;
    uint64_t number;
};

struct node {
    struct world *world;
    unsigned number;
    bool is_near;
    struct seeded dice;
    int64_t clock_ms; /* how wrong its wall clock is */
    uint64_t boot_us; /* when its machine was started */
    struct chunk_source chunks;
    size_t n_chunk_bytes;

    struct peer **peers;
    size_t n_peers, peers_cap;
    struct peer *peer;   /* near: by which it opens streams */
    struct node *server; /* near: whom it dials */
    struct node *via; /* near: the one whose streams are its carriers; NULL: they are connections */
    uint8_t instance[INSTANCE_BYTES];
    struct sim_dial dials[NODE_MAX_DIALS];
    uint64_t restart_us;
    uint64_t drain_us, drain_s; /* when it drains, 0: not (any more); and how long */
    uint64_t drain_end_us;      /* when that is over, 0: it has not begun */

    uint64_t listener;  /* near: its number in the peer's session, 0: it is not asked for */
    uint64_t listen_us; /* near: when it asks for it, or wants it no more; NEVER: neither */

    struct gate *gates[FAR_MAX_WORKERS];              /* far */
    struct sim_listener listeners[SIM_MAX_LISTENERS]; /* far: as they were asked for */
    size_t n_listeners;
};

void node_start(struct node *node);
void node_stop(struct node *node);
/* Near: from now on it opens streams by another peer. */
void node_renew(struct node *near);
/* The time by its clocks. */
struct peer_time node_time(const struct node *node);
uint64_t node_next_us(const struct node *node);
/* Does what is due by its timers. */
void node_run(struct node *node);
/* Near: what it dials is given up. */
void node_network_changed(struct node *near);
/* Something has come on, or there is room in, a carrier. */
void node_carrier(struct node *node, struct sim_carrier *carrier, unsigned end);
/* Asks all its peers for events and writes what they have, until there is nothing. */
void node_settle(struct node *node);

/* ---- listening ---- */

/* Whether its far end listens for it. */
bool listening_is_for(const struct node *near);
/* A session begins, in which the listener is to be asked for. */
void listening_begin(struct node *near);
/* Does what is due: asks for it, or wants it no more. */
void listening_turn(struct node *near);
uint64_t listening_next_us(const struct node *near);
/* Whether it is, or may be, that peer's listener which the node wants. */
bool listening_wants(const struct node *near, const struct peer *peer, uint64_t number);
void listening_event(struct node *node, struct peer *peer, const struct session_event *event);
/* Of this peer's sessions this is the one. */
void listening_begun(struct node *far, struct peer *peer);
/* Nothing is opened by the peer's listener any more. */
void listening_forget(struct node *far, const struct peer *peer);
/* Opens a stream by the listener that the near node has. As session_open(); ERR_EOF: it has none now. */
NODISCARD enum err listening_open(struct node *near, const struct stream_request *asked,
                                  struct stream **stream);

/* ---- draining ---- */

void drain_draw(struct node *node);
/* Does what is due. */
void drain_run(struct node *node);
uint64_t drain_next_us(const struct node *node);
/* The other end takes no more streams. */
void drain_heard(struct node *node, struct peer *peer);
/* Ends it where that was the last stream. */
void drain_review(const struct node *node, struct peer *peer);
/* Whether either end drains. */
bool drain_has(const struct peer *peer);
/* The peer is about to be freed. */
void drain_forget(struct peer *peer);

/* ---- users ---- */

#define N_USERS 8 /* one for each node */

struct users;

void users_init(struct world *world);
/* With which the near end comes. */
const struct link_key *users_key(const struct node *near);
/* What gates stand on now. */
struct handshake_ground users_ground(const struct world *world);
/* Turns to others where that is due. */
void users_run(struct world *world);
/* The app's stream has come in a session of its own near end's. */
void users_check(const struct peer *peer, struct world *world, const struct app *app);
void users_free(struct world *world);

/* ---- memory ---- */

void memory_begin(struct world *world);
void memory_end(void);     /* fails the world where something was not freed */
void *sim_alloc(size_t n); /* zeroed; never fails */
void sim_free(void *memory);
size_t memory_held(void);
/* One of so many allocations fails from now on; 0: none. */
void memory_fail_one_of(unsigned n);
/* The nth from now on fails, once; 0: none. Returns what is left of the n before: 0 where that one has failed. */
unsigned memory_fail_nth(unsigned n);

/* ---- world ---- */

struct world {
    struct scenario scenario;
    uint64_t now_us;
    uint64_t trace;
    bool is_loud;
    struct seeded dice, carrier_dice, memory_dice;
    struct node nears[2], far;
    struct node hops[CHAIN_MAX_DEEP][2]; /* near, far; each goes through the one before */
    struct node
        *nodes[3 + 2 * CHAIN_MAX_DEEP]; /* all, the deepest first, and near ends before far ones */
    unsigned n_nodes;
    struct list carriers, app_ends, done_ends;
    struct queue ends, openings; /* of apps */
    unsigned n_carriers;
    struct app *apps;
    size_t n_apps, n_apps_over;
    struct link_key key;
    struct sign_key *identities[2];
    const struct verify_key *accepted[1];
    void *replay_memory;
    struct replay_set *replays;
    struct users *users; /* NULL: there are none */
    struct link_key user_keys[N_USERS];
    uint64_t turn_us; /* when they change next */
    struct seeded user_dice;
    uint64_t n_steps, n_steps_now;
    uint64_t max_held;
    unsigned n_completed, n_reset, n_links;
    uint64_t n_bytes, n_datagrams;
    uint64_t new_syn_us; /* for the exact tests: when the last carrier was asked for */
    char failure[256];   /* empty: none */
};

/* Whose session an app's stream is opened in. */
struct node *world_near_of(struct world *world, const struct app *app);

/* A second later the lower half of a clock of microseconds wraps around. */
#define BEGIN_US (4294 * SECOND)
#define KEEP_S 150 /* longer than faults last, and the longest pause between attempts */

void world_init(struct world *world, const struct scenario *scenario);
/* Room for so many apps, which the caller describes. */
void world_add_apps(struct world *world, size_t n);
void world_start(struct world *world);
/* Draws apps and starts nodes. */
void world_populate(struct world *world);
/* Runs until all is over; false: see `failure`. */
bool world_run(struct world *world);
void world_free(struct world *world);
/* One step: the clock goes to what comes next. False: nothing does before `until_us`. */
bool world_step(struct world *world, uint64_t until_us);
void world_settle(struct world *world);

/* The first one counts. */
void world_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A fact goes into the trace. */
void world_trace(struct world *world, const char *what, uint64_t a, uint64_t b);
bool world_is_healed(const struct world *world);

#endif

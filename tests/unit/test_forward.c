/*
 * HTTP forwarding as a play between a client, us and servers: who says what, and what the other
 * hears. In one piece and byte by byte it must make no difference.
 */
#include "flows.h"

enum act {
    END_OF_PLAY,
    CLIENT_SAYS,
    SERVER_HEARS,
    SERVER_SAYS,
    CLIENT_HEARS,
    NEXT_SERVER, /* what is opened from now on is another; the text is its target */
    SERVER_GOES, /* and what is opened from now on is another */
    CLIENT_FINS,
    SERVER_FINS,
    SERVER_RESETS,
    CLIENT_SEES_FIN,
    CLIENT_SEES_RESET,
    SERVER_SEES_FIN,
    SERVER_SEES_RESET,
    SERVER_SEES_END, /* of either kind */
    OLD_SERVER_SEES_FIN,
    TIME_PASSES,    /* idle_ms */
    HANDSHAKE_ENDS, /* handshake_ms */
    HOLDS_NOTHING,
    LOG_HOLDS,
    WE_WIND_UP,
};

struct step {
    enum act act;
    const char *text;
};

#define MAX_STEPS 24

struct play {
    const char *title;
    struct step steps[MAX_STEPS];
    bool only_whole; /* it is about what comes at once */
    bool has_users;
};

#define IDLE_MS 1000
#define HANDSHAKE_MS 100

static const struct user users[] = {{"ann", "s3cret", false}, {"bob", "other", false}};

#define ANN "Proxy-Authorization: Basic YW5uOnMzY3JldA==\r\n"
#define BOB "Proxy-Authorization: Basic Ym9iOm90aGVy\r\n"
#define GET(path) "GET http://a.test" path " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define GOT(path) "GET " path " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK(length) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n"
#define KEPT(length) \
    "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\nConnection: keep-alive\r\n\r\n"
#define LAST(length) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\nConnection: close\r\n\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_KEPT \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
#define PLAIN_TYPE "Content-Type: text/plain; charset=utf-8\r\n"

static const struct play good[] = {
    {.title = "acc_39 one connection, one server, several requests",
     .steps = {{CLIENT_SAYS, GET("/1")},
               {SERVER_HEARS, GOT("/1")},
               {SERVER_SAYS, OK("5") "hello"},
               {CLIENT_HEARS, KEPT("5") "hello"},
               {HOLDS_NOTHING, NULL},
               {CLIENT_SAYS, GET("/2")},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_SAYS, OK("0")},
               {CLIENT_HEARS, KEPT("0")},
               {HOLDS_NOTHING, NULL},
               {CLIENT_FINS, NULL},
               {SERVER_SEES_FIN, NULL}}},
    {.title = "acc_39 different hosts on one connection",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {NEXT_SERVER, NULL},
               {CLIENT_SAYS, "GET http://[2001:db8::1]:81/x?y HTTP/1.1\r\nHost: b\r\n\r\n"},
               {NEXT_SERVER, "[2001:db8::1]:81"},
               {OLD_SERVER_SEES_FIN, NULL},
               {SERVER_HEARS, "GET /x?y HTTP/1.1\r\nHost: [2001:db8::1]:81\r\n\r\n"},
               {SERVER_SAYS, OK("1") "b"},
               {CLIENT_HEARS, KEPT("1") "b"},
               {CLIENT_FINS, NULL}}},
    {.title = "acc_39 pipelined requests are answered in their order",
     .steps = {{CLIENT_SAYS, GET("/1") GET("/2") GET("/3")},
               {SERVER_HEARS, GOT("/1")},
               {SERVER_SAYS, OK("1") "1"},
               {CLIENT_HEARS, KEPT("1") "1"},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_SAYS, OK("1") "2"},
               {CLIENT_HEARS, KEPT("1") "2"},
               {SERVER_HEARS, GOT("/3")},
               {SERVER_SAYS, OK("1") "3"},
               {CLIENT_HEARS, KEPT("1") "3"},
               {CLIENT_FINS, NULL}}},
    {.title = "bodies by length, then the next request",
     .steps = {{CLIENT_SAYS, "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Content-Length: 4\r\n\r\nbody" GET("/2")},
               {SERVER_HEARS, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody"},
               {SERVER_SAYS, OK("2") "ok"},
               {CLIENT_HEARS, KEPT("2") "ok"},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_SAYS, OK("0")},
               {CLIENT_HEARS, KEPT("0")},
               {CLIENT_FINS, NULL}}},
    {.title = "chunked both ways, with trailers, then the next request",
     .steps = {{CLIENT_SAYS, "PUT http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n"
                             "3\r\nabc\r\n0\r\nX: y\r\nProxy-A: b\r\n\r\n" GET("/2")},
               {SERVER_HEARS, "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "3\r\nabc\r\n0\r\nX: y\r\n\r\n"},
               {SERVER_SAYS, CHUNKED "a;x=y\r\n0123456789\r\n0\r\nT: u\r\n\r\n"},
               {CLIENT_HEARS, CHUNKED_KEPT "a\r\n0123456789\r\n0\r\nT: u\r\n\r\n"},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_SAYS, OK("0")},
               {CLIENT_HEARS, KEPT("0")},
               {CLIENT_FINS, NULL}}},
    {.title = "acc_74 what is for one hop only does not go on",
     .steps = {{CLIENT_SAYS,
                "GET http://a.test HTTP/1.1\r\nProxy-Connection: keep-alive\r\nHost: b\r\n"
                "Connection: x-mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n"
                "Proxy-Authorization: Basic eDp5\r\nTE: trailers, gzip\r\nX-Yours: 2\r\n"
                "Upgrade: h2c\r\n\r\n"},
               {SERVER_HEARS, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Yours: 2\r\nTE: trailers\r\n"
                              "Connection: TE\r\n\r\n"},
               {SERVER_SAYS, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\n"
                             "Content-Length: 0\r\nConnection: close\r\n\r\n"},
               {CLIENT_HEARS, KEPT("0")},
               {SERVER_SEES_FIN, NULL},
               {CLIENT_FINS, NULL}}},
    {.title = "HEAD, 204 and 304 have no body, whatever they announce",
     .steps = {{CLIENT_SAYS, "HEAD http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"},
               {SERVER_HEARS, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n"},
               {SERVER_SAYS, OK("5")},
               {CLIENT_HEARS, KEPT("5")},
               {CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n"},
               {CLIENT_HEARS,
                "HTTP/1.1 304 No\r\nContent-Length: 9\r\nConnection: keep-alive\r\n\r\n"},
               {CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, "HTTP/1.1 204 No\r\n\r\n"},
               {CLIENT_HEARS, "HTTP/1.1 204 No\r\nConnection: keep-alive\r\n\r\n"},
               {CLIENT_FINS, NULL}}},
    {.title = "a body that ends with the connection ends ours",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, "HTTP/1.1 200 OK\r\n\r\nbytes"},
               {CLIENT_HEARS, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbytes"},
               {SERVER_SAYS, "more"},
               {CLIENT_HEARS, "more"},
               {SERVER_FINS, NULL},
               {CLIENT_SEES_FIN, NULL}}},
    {.title = "to a client of HTTP/1.0 a chunked body is decoded and ends with the connection",
     .steps = {{CLIENT_SAYS, "GET http://a.test/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
               {SERVER_HEARS, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"},
               {SERVER_SAYS, "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" CHUNKED},
               {SERVER_SAYS, "3\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"},
               {CLIENT_HEARS, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde"},
               {CLIENT_SEES_FIN, NULL}}},
    {.title = "a client of HTTP/1.0 that wants to stay, and then does not",
     .steps = {{CLIENT_SAYS, "GET http://a.test/ HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n"},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {CLIENT_SAYS, "GET http://a.test/ HTTP/1.0\r\n\r\n"},
               {SERVER_HEARS, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"},
               {SERVER_SAYS, LAST("1") "b"},
               {CLIENT_HEARS, LAST("1") "b"},
               {CLIENT_SEES_FIN, NULL}}},
    {.title = "1xx go on, and 100-continue is between the two",
     .steps = {{CLIENT_SAYS, "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"},
               {SERVER_HEARS, "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
                              "Content-Length: 4\r\n\r\n"},
               {SERVER_SAYS, "HTTP/1.1 100 Continue\r\n\r\n"},
               {CLIENT_HEARS, "HTTP/1.1 100 Continue\r\n\r\n"},
               {CLIENT_SAYS, "body"},
               {SERVER_HEARS, "body"},
               {SERVER_SAYS, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" OK("2") "ok"},
               {CLIENT_HEARS, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" KEPT("2") "ok"},
               {CLIENT_FINS, NULL}}},
    {.title = "a server that answers at once what was to be continued",
     .steps = {{CLIENT_SAYS, "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"},
               {SERVER_HEARS, "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
                              "Content-Length: 4\r\n\r\n"},
               {SERVER_SAYS, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"},
               {CLIENT_HEARS, "HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
               {CLIENT_SEES_FIN, NULL},
               {SERVER_SEES_FIN, NULL}}},
    {.title = "an answer before the body is through ends both connections",
     .steps = {{CLIENT_SAYS, "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Content-Length: 4\r\n\r\nbo"},
               {SERVER_HEARS, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbo"},
               {SERVER_SAYS, "HTTP/1.1 413 No\r\nContent-Length: 1\r\n\r\n!"},
               {CLIENT_HEARS, "HTTP/1.1 413 No\r\nContent-Length: 1\r\nConnection: close\r\n\r\n!"},
               {CLIENT_SEES_FIN, NULL},
               {SERVER_SEES_FIN, NULL}}},
    {.title = "an upgrade becomes a relay",
     .steps = {{CLIENT_SAYS, "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly"},
               {SERVER_HEARS, "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\n\r\n"},
               {SERVER_SAYS, "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n"
                             "Upgrade: websocket\r\n\r\nhello"},
               {CLIENT_HEARS, "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\n\r\nhello"},
               {SERVER_HEARS, "early"},
               {CLIENT_SAYS, "up"},
               {SERVER_HEARS, "up"},
               {SERVER_SAYS, "down"},
               {CLIENT_HEARS, "down"},
               {SERVER_FINS, NULL},
               {CLIENT_SEES_FIN, NULL},
               {CLIENT_FINS, NULL}}},
    {.title = "an upgrade on a connection that is used again, with early bytes",
     .steps = {{CLIENT_SAYS, GET("/1")},
               {SERVER_HEARS, GOT("/1")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {CLIENT_SAYS, "GET http://a.test/ws HTTP/1.1\r\nHost: a.test\r\n"
                             "Connection: upgrade\r\nUpgrade: websocket\r\n\r\nearly frame"},
               {SERVER_HEARS, "GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\n\r\n"},
               {SERVER_SAYS, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\n\r\n"},
               {CLIENT_HEARS, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\n\r\n"},
               {SERVER_HEARS, "early frame"},
               {CLIENT_FINS, NULL},
               {SERVER_SEES_FIN, NULL},
               {SERVER_FINS, NULL},
               {CLIENT_SEES_FIN, NULL}}},
    {.title = "an upgrade that the server does not want",
     .steps = {{CLIENT_SAYS, "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
               {SERVER_HEARS, "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\n\r\n"},
               {SERVER_SAYS, OK("2") "no"},
               {CLIENT_HEARS, KEPT("2") "no"},
               {CLIENT_SAYS, GET("/2")},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_SAYS, OK("0")},
               {CLIENT_HEARS, KEPT("0")},
               {CLIENT_FINS, NULL}}},
    {.title = "CONNECT after other requests, with early bytes",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {NEXT_SERVER, NULL},
               {CLIENT_SAYS, "CONNECT b.test:443 HTTP/1.1\r\n\r\nearly"},
               {NEXT_SERVER, "b.test:443"},
               {OLD_SERVER_SEES_FIN, NULL},
               {CLIENT_HEARS, "HTTP/1.1 200 Connection established\r\n\r\n"},
               {SERVER_HEARS, "early"},
               {SERVER_SAYS, "hello"},
               {CLIENT_HEARS, "hello"},
               {CLIENT_FINS, NULL},
               {SERVER_SEES_FIN, NULL},
               {SERVER_FINS, NULL}}},
    {.title = "the client's fin behind its request gets the answer",
     .steps = {{CLIENT_SAYS, GET("/")},
               {CLIENT_FINS, NULL},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {CLIENT_SEES_FIN, NULL}}},
    {.title = "an idle server that closes is opened anew for the next request",
     .steps = {{CLIENT_SAYS, GET("/1")},
               {SERVER_HEARS, GOT("/1")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {SERVER_FINS, NULL},
               {SERVER_SEES_FIN, NULL},
               {NEXT_SERVER, NULL},
               {CLIENT_SAYS, GET("/2")},
               {NEXT_SERVER, "a.test:80"},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_SAYS, OK("1") "b"},
               {CLIENT_HEARS, KEPT("1") "b"},
               {CLIENT_FINS, NULL}}},
    {.title = "the last answer before the end says so",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {WE_WIND_UP, NULL},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, LAST("1") "a"},
               {CLIENT_SEES_FIN, NULL},
               {SERVER_SEES_FIN, NULL}}},
    {.title = "between two requests the end comes at once",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {WE_WIND_UP, NULL},
               {CLIENT_SEES_FIN, NULL},
               {SERVER_SEES_FIN, NULL}}},
    {.title = "a kept server that closes upon a request is asked again on a new connection",
     .steps = {{CLIENT_SAYS, GET("/1")},
               {SERVER_HEARS, GOT("/1")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {CLIENT_SAYS, GET("/2")},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_GOES, NULL},
               {NEXT_SERVER, "a.test:80"},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_SAYS, OK("1") "b"},
               {CLIENT_HEARS, KEPT("1") "b"},
               {HOLDS_NOTHING, NULL},
               {CLIENT_FINS, NULL}}},
};

static const struct play with_users[] = {
    {.title = "acc_39 407 on a connection that stays open",
     .has_users = true,
     .steps = {{CLIENT_SAYS, "HEAD http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"},
               {CLIENT_HEARS, "HTTP/1.1 407 Proxy Authentication Required\r\n"
                              "Proxy-Authenticate: Basic realm=\"sockeye\"\r\n" PLAIN_TYPE
                              "Content-Length: 47\r\nConnection: keep-alive\r\n\r\n"},
               {CLIENT_SAYS, "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Content-Length: 4\r\n\r\nskip"},
               {CLIENT_HEARS, "HTTP/1.1 407 Proxy Authentication Required\r\n"
                              "Proxy-Authenticate: Basic realm=\"sockeye\"\r\n" PLAIN_TYPE
                              "Content-Length: 47\r\nConnection: keep-alive\r\n\r\n"
                              "this proxy asks for a user name and a password\n"},
               {CLIENT_SAYS, "GET http://a.test/1 HTTP/1.1\r\nHost: a.test\r\n" ANN "\r\n"},
               {SERVER_HEARS, GOT("/1")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {CLIENT_SAYS, "HEAD http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"},
               {CLIENT_HEARS, "HTTP/1.1 407 Proxy Authentication Required\r\n"
                              "Proxy-Authenticate: Basic realm=\"sockeye\"\r\n" PLAIN_TYPE
                              "Content-Length: 47\r\nConnection: keep-alive\r\n\r\n"},
               {CLIENT_SAYS, "GET http://a.test/2 HTTP/1.1\r\nHost: a.test\r\n" ANN "\r\n"},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_SAYS, OK("1") "b"},
               {CLIENT_HEARS, KEPT("1") "b"},
               {CLIENT_FINS, NULL}}},
    {.title = "a server that was opened for one user is not used for another",
     .has_users = true,
     .steps = {{CLIENT_SAYS, "GET http://a.test/1 HTTP/1.1\r\nHost: a.test\r\n" ANN "\r\n"},
               {SERVER_HEARS, GOT("/1")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {NEXT_SERVER, NULL},
               {CLIENT_SAYS, "GET http://a.test/2 HTTP/1.1\r\nHost: a.test\r\n" BOB "\r\n"},
               {NEXT_SERVER, "a.test:80"},
               {OLD_SERVER_SEES_FIN, NULL},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_SAYS, OK("1") "b"},
               {CLIENT_HEARS, KEPT("1") "b"},
               {CLIENT_FINS, NULL}}},
};

#define BAD_GATEWAY(length, connection)                                 \
    "HTTP/1.1 502 Bad Gateway\r\n" PLAIN_TYPE "Content-Length: " length \
    "\r\nConnection: " connection "\r\n\r\n"

#define REFUSED_400(length)                                             \
    "HTTP/1.1 400 Bad Request\r\n" PLAIN_TYPE "Content-Length: " length \
    "\r\nConnection: close\r\n\r\n"

static const struct play bad[] = {
    {.title = "a server that closes without an answer",
     .steps =
         {{CLIENT_SAYS, GET("/")},
          {SERVER_HEARS, GOT("/")},
          {SERVER_FINS, NULL},
          {CLIENT_HEARS,
           BAD_GATEWAY(
               "62",
               "keep-alive") "a.test:80: the server closed the connection without an answer\n"},
          {SERVER_SEES_FIN, NULL},
          {CLIENT_FINS, NULL}}},
    {.title = "a server that resets without an answer",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_RESETS, NULL},
               {CLIENT_HEARS,
                BAD_GATEWAY("47", "keep-alive") "a.test:80: the server broke the connection off\n"},
               {CLIENT_FINS, NULL}}},
    {.title = "a kept server that closes upon a request with side effects",
     .steps =
         {{CLIENT_SAYS, GET("/1")},
          {SERVER_HEARS, GOT("/1")},
          {SERVER_SAYS, OK("1") "a"},
          {CLIENT_HEARS, KEPT("1") "a"},
          {CLIENT_SAYS, "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"},
          {SERVER_HEARS, "POST / HTTP/1.1\r\nHost: a.test\r\n\r\n"},
          {SERVER_FINS, NULL},
          {CLIENT_HEARS,
           BAD_GATEWAY(
               "62",
               "keep-alive") "a.test:80: the server closed the connection without an answer\n"},
          {SERVER_SEES_FIN, NULL},
          {CLIENT_FINS, NULL}}},
    {.title = "a body that is shorter than its length is cut for the client too",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, OK("5") "hell"},
               {CLIENT_HEARS, KEPT("5") "hell"},
               {SERVER_FINS, NULL},
               {CLIENT_SEES_RESET, NULL}}},
    {.title = "so is a chunked one",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, CHUNKED "5\r\nhell"},
               {CLIENT_HEARS, CHUNKED_KEPT "5\r\nhell"},
               {SERVER_FINS, NULL},
               {CLIENT_SEES_RESET, NULL}}},
    {.title = "so is one without its last chunk, decoded",
     .steps = {{CLIENT_SAYS, "GET http://a.test/ HTTP/1.0\r\n\r\n"},
               {SERVER_HEARS, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"},
               {SERVER_SAYS, CHUNKED "5\r\nhello\r\n"},
               {CLIENT_HEARS, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"},
               {SERVER_FINS, NULL},
               {CLIENT_SEES_RESET, NULL}}},
    {.title = "a body that ends with a reset",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, "HTTP/1.1 200 OK\r\n\r\nbytes"},
               {CLIENT_HEARS, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbytes"},
               {SERVER_RESETS, NULL},
               {CLIENT_SEES_RESET, NULL}}},
    {.title = "a chunk whose size is none",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, CHUNKED "1\r\na\r\n"},
               {CLIENT_HEARS, CHUNKED_KEPT "1\r\na\r\n"},
               {SERVER_SAYS, "x\r\n"},
               {CLIENT_SEES_RESET, NULL},
               {SERVER_SEES_END, NULL}}},
    {.title = "a second final answer is nobody's",
     .only_whole = true,
     .steps = {{CLIENT_SAYS, GET("/1")},
               {SERVER_HEARS, GOT("/1")},
               {SERVER_SAYS, OK("1") "a" OK("1") "b"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {SERVER_SEES_FIN, NULL},
               {LOG_HOLDS, "end=error"},
               {NEXT_SERVER, NULL},
               {CLIENT_SAYS, GET("/2")},
               {NEXT_SERVER, "a.test:80"},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_SAYS, OK("1") "c"},
               {CLIENT_HEARS, KEPT("1") "c"},
               {CLIENT_FINS, NULL}}},
    {.title = "nor is what a server says unasked, later",
     .steps = {{CLIENT_SAYS, GET("/1")},
               {SERVER_HEARS, GOT("/1")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {SERVER_SAYS, "b"},
               {SERVER_SEES_END, NULL},
               {LOG_HOLDS, "end=error"},
               {CLIENT_FINS, NULL}}},
    {.title = "an answer that is none",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, "SSH-2.0-x\r\n"},
               {CLIENT_HEARS,
                BAD_GATEWAY("44", "keep-alive") "a.test:80: the server's answer is malformed\n"},
               {CLIENT_FINS, NULL}}},
    {.title = "acc_74 an answer that says its length twice",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na"},
               {CLIENT_HEARS,
                BAD_GATEWAY("44", "keep-alive") "a.test:80: the server's answer is malformed\n"},
               {CLIENT_FINS, NULL}}},
    {.title = "a server's 407 is not ours",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, "HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n"},
               {CLIENT_HEARS,
                BAD_GATEWAY("50",
                            "keep-alive") "a.test:80: the server asks for a proxy's password\n"},
               {CLIENT_FINS, NULL}}},
    {.title = "another protocol that nobody has asked for",
     .steps =
         {{CLIENT_SAYS, GET("/")},
          {SERVER_HEARS, GOT("/")},
          {SERVER_SAYS, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
          {CLIENT_HEARS,
           BAD_GATEWAY(
               "63",
               "keep-alive") "a.test:80: the server changed the protocol without being asked\n"},
          {CLIENT_FINS, NULL}}},
    {.title = "a client that ends within its body",
     .steps = {{CLIENT_SAYS, "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Content-Length: 4\r\n\r\nbod"},
               {SERVER_HEARS, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbod"},
               {CLIENT_FINS, NULL},
               {SERVER_SEES_RESET, NULL},
               {CLIENT_SEES_RESET, NULL}}},
    {.title = "acc_74 a chunk of a request whose size is none",
     .steps = {{CLIENT_SAYS, "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n-1\r\n"},
               {CLIENT_HEARS, REFUSED_400("43") "a.test:80: the request's body is malformed\n"},
               {CLIENT_SEES_FIN, NULL}}},
    {.title = "acc_74 a length and chunks, as the second request",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {CLIENT_SAYS, "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"},
               {CLIENT_HEARS, REFUSED_400("18") "malformed request\n"},
               {CLIENT_SEES_FIN, NULL},
               {SERVER_SEES_FIN, NULL}}},
    {.title = "a server that says nothing",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {TIME_PASSES, NULL},
               {CLIENT_HEARS, "HTTP/1.1 504 Gateway Timeout\r\n" PLAIN_TYPE
                              "Content-Length: 45\r\nConnection: close\r\n\r\n"
                              "a.test:80: the server sent no answer in time\n"},
               {CLIENT_SEES_FIN, NULL},
               {SERVER_SEES_FIN, NULL}}},
    {.title = "a client that falls silent in its request",
     .steps = {{CLIENT_SAYS, "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                             "Content-Length: 4\r\n\r\nbod"},
               {SERVER_HEARS, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbod"},
               {TIME_PASSES, NULL},
               {CLIENT_HEARS, "HTTP/1.1 408 Request Timeout\r\n" PLAIN_TYPE
                              "Content-Length: 51\r\nConnection: close\r\n\r\n"
                              "a.test:80: the request's body did not come in time\n"},
               {CLIENT_SEES_FIN, NULL},
               {SERVER_SEES_FIN, NULL}}},
    {.title = "an idle server that resets",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {SERVER_RESETS, NULL},
               {LOG_HOLDS, "end=reset"},
               {CLIENT_SAYS, GET("/2")},
               {NEXT_SERVER, "a.test:80"},
               {SERVER_HEARS, GOT("/2")},
               {SERVER_SAYS, OK("0")},
               {CLIENT_HEARS, KEPT("0")},
               {CLIENT_FINS, NULL}}},
    {.title = "a server that falls silent in its answer",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, OK("5") "hell"},
               {CLIENT_HEARS, KEPT("5") "hell"},
               {TIME_PASSES, NULL},
               {CLIENT_SEES_RESET, NULL},
               {SERVER_SEES_RESET, NULL}}},
    {.title = "a client that is slow with its second head",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {CLIENT_SAYS, "GET http://a.t"},
               {HANDSHAKE_ENDS, NULL},
               {CLIENT_SEES_FIN, NULL},
               {SERVER_SEES_FIN, NULL}}},
    {.title = "a client that asks for nothing more",
     .steps = {{CLIENT_SAYS, GET("/")},
               {SERVER_HEARS, GOT("/")},
               {SERVER_SAYS, OK("1") "a"},
               {CLIENT_HEARS, KEPT("1") "a"},
               {TIME_PASSES, NULL},
               {CLIENT_SEES_FIN, NULL},
               {SERVER_SEES_FIN, NULL}}},
};

/* ---- playing ---- */

static int client, old_server;

static void change_server(const char *text)
{
    if (text == NULL) {
        old_server = flows.origin;
        flows.origin = -1;
        return;
    }
    FLOWS_UNTIL(flows.origin >= 0);
    assert_string_equal(flows.asked, text);
}

/* The server goes just as it is used again. */
static void close_server_unheard(void)
{
    int gone = flows.origin;
    flows.origin = -1;
    far_close(gone);
}

static void expect_silence(int fd)
{
    flows_settle();
    assert_true(flows_is_silent(fd));
}

static void end(int *fd, bool reset)
{
    if (reset)
        far_reset(*fd);
    else
        far_shutdown(*fd);
    if (reset)
        *fd = -1;
}

/* An end of either kind. */
static void expect_any_end(int fd)
{
    char byte;
    FLOWS_UNTIL(!flows_is_silent(fd));
    assert_true(far_receive(fd, &byte, 1) <= 0);
}

static void take_step(const struct step *step, bool one_by_one)
{
    switch (step->act) {
    case END_OF_PLAY:
        break;
    case CLIENT_SAYS:
        flows_send(client, step->text, strlen(step->text), one_by_one);
        break;
    case SERVER_HEARS:
        FLOWS_UNTIL(flows.origin >= 0);
        flows_expect(flows.origin, step->text, strlen(step->text));
        expect_silence(flows.origin);
        break;
    case SERVER_SAYS:
        flows_send(flows.origin, step->text, strlen(step->text), one_by_one);
        break;
    case CLIENT_HEARS:
        flows_expect(client, step->text, strlen(step->text));
        break;
    case NEXT_SERVER:
        change_server(step->text);
        break;
    case SERVER_GOES:
        close_server_unheard();
        break;
    case CLIENT_FINS:
        end(&client, false);
        break;
    case SERVER_FINS:
        end(&flows.origin, false);
        break;
    case SERVER_RESETS:
        end(&flows.origin, true);
        break;
    case CLIENT_SEES_FIN:
        flows_expect_end(client, 0);
        break;
    case CLIENT_SEES_RESET:
        flows_expect_end(client, ECONNRESET);
        break;
    case SERVER_SEES_FIN:
        flows_expect_end(flows.origin, 0);
        break;
    case SERVER_SEES_RESET:
        flows_expect_end(flows.origin, ECONNRESET);
        break;
    case SERVER_SEES_END:
        expect_any_end(flows.origin);
        break;
    case OLD_SERVER_SEES_FIN:
        flows_expect_end(old_server, 0);
        break;
    case TIME_PASSES:
        flows_settle();
        flows_pass(IDLE_MS + IDLE_MS / 3);
        break;
    case HANDSHAKE_ENDS:
        flows_settle();
        flows_pass(HANDSHAKE_MS + 1);
        break;
    case HOLDS_NOTHING:
        flows_settle();
        assert_int_equal(flows.shared.n_held_bytes, 0);
        break;
    case WE_WIND_UP:
        flows_settle();
        flow_end_exchanges(&flows.env, NULL);
        break;
    case LOG_HOLDS:
        FLOWS_UNTIL(strstr(flows.lines, step->text) != NULL);
        break;
    }
}

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        far_close(*fd);
    *fd = -1;
}

static void play_once(void **state, const struct play *play, bool one_by_one)
{
    print_message("  %s%s\n", play->title, one_by_one ? ", byte by byte" : "");
    flows_begin(backend_of(state), &inbound_mixed,
                (struct flow_limits){.handshake_ms = HANDSHAKE_MS, .idle_ms = IDLE_MS});
    flows_set(state);
    if (play->has_users)
        flows_set_users(users, N_ITEMS(users));
    old_server = -1;
    client = flows_client();
    for (const struct step *step = play->steps; step->act != END_OF_PLAY; step++)
        take_step(step, one_by_one);
    close_if_open(&client);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    close_if_open(&old_server);
    flows_end();
}

static void hold(void **state, const struct play *plays, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        play_once(state, &plays[i], false);
        if (!plays[i].only_whole)
            play_once(state, &plays[i], true);
    }
}

static void acc_39_exchanges_go_as_they_should(void **state)
{
    hold(state, good, N_ITEMS(good));
}

static void acc_39_who_it_is_is_asked_for_each_request(void **state)
{
    hold(state, with_users, N_ITEMS(with_users));
}

static void what_goes_wrong_is_told_or_cut(void **state)
{
    hold(state, bad, N_ITEMS(bad));
}

/* The server says so much before its answer that the client, who does not read, is full. */
static void stuff_client(void)
{
    static const char early[] = "HTTP/1.1 103 Early Hints\r\n\r\n";
    const struct flow *flow = CONTAINER_OF(flows.env.live.next, struct flow, link);
    const int small = 4096;
    if (flow->client->fd >= 0)
        setsockopt(flow->client->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    size_t n_sent = 0;
    for (int n_vain = 0; n_vain < 50 || flow->down.n_held == 0; n_vain++) {
        ssize_t n = far_send(flows.origin, early + n_sent, sizeof early - 1 - n_sent);
        if (n > 0) {
            n_sent = (n_sent + (size_t)n) % (sizeof early - 1);
            n_vain = 0;
        }
        if (n <= 0 || flow->down.n_held == 0)
            assert_true(loop_turn(flows.env.loop, 0));
    }
}

/* Reads on to the end, of either kind; whether that was among it. */
static bool hears_at_last(int fd, const char *text)
{
    static char bytes[8 * 1024];
    const size_t n_text = strlen(text);
    size_t n = 0;
    uint64_t give_up = now_ms() + PATIENCE_MS;
    for (ssize_t got = -1; got != 0 && (got > 0 || errno == EAGAIN);
         n += got > 0 ? (size_t)got : 0) {
        if (n == sizeof bytes) {
            memmove(bytes, bytes + n - n_text, n_text);
            n = n_text;
        }
        assert_true(now_ms() < give_up);
        assert_true(loop_turn(flows.env.loop, 0));
        got = far_receive(fd, bytes + n, sizeof bytes - n);
        if (got > 0 && memmem(bytes, n + (size_t)got, text, n_text) != NULL)
            return true;
    }
    return false;
}

static void a_client_that_reads_late_may_go_on_with_a_body_that_was_refused(void **state)
{
    static const char post[] = "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    static const char no_chunk[] = "G";
    static const char chunk[] = "5\r\nhello\r\n";
    flows_begin(backend_of(state), &inbound_mixed, (struct flow_limits){.idle_ms = IDLE_MS});
    flows_set(state);
    client = flows_client();
    flows_send(client, post, sizeof post - 1, false);
    FLOWS_UNTIL(flows.origin >= 0);
    stuff_client();
    flows_send(client, no_chunk, sizeof no_chunk - 1, false);
    flows_settle();
    flows_send(client, chunk, sizeof chunk - 1, false);
    flows_settle();
    assert_true(hears_at_last(client, "the request's body is malformed"));
    close_if_open(&client);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    flows_end();
}

static void the_rules_may_change_while_what_went_ahead_of_a_target_is_under_way(void **state)
{
    flows_begin(backend_of(state), &inbound_mixed, (struct flow_limits){.idle_ms = IDLE_MS});
    flows_set(state);
    flows.answer = ERR_AGAIN;
    client = flows_client();
    flows_send(client, GET("/"), strlen(GET("/")), false);
    FLOWS_UNTIL(flows.pending != NULL);
    flow_end_exchanges(&flows.env, NULL);
    flows_open(ERR_NONE);
    flows_expect(flows.origin, GOT("/"), strlen(GOT("/")));
    flows_send(flows.origin, OK("1") "a", strlen(OK("1") "a"), false);
    flows_expect(client, LAST("1") "a", strlen(LAST("1") "a"));
    flows_expect_end(client, 0);
    close_if_open(&client);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    flows_end();
}

#define POST_CHUNKED(url) \
    "POST " url " HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"

/* All of the head is under way to a target that does not answer yet. */
static void begin_to_post(void **state)
{
    static const char head[] = POST_CHUNKED("http://a.test/");
    flows_begin(backend_of(state), &inbound_mixed, (struct flow_limits){.idle_ms = IDLE_MS});
    flows_set(state);
    flows.takes_all = true;
    flows.answer = ERR_AGAIN;
    client = flows_client();
    flows_send(client, head, sizeof head - 1, false);
    FLOWS_UNTIL(flows.pending != NULL);
}

static void end_client(void)
{
    close_if_open(&client);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    flows_end();
}

static void a_body_goes_on_while_its_target_is_being_opened(void **state)
{
    static const char body[] = "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    static const char got[] = POST_CHUNKED("/") "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    for (int takes_all = 0; takes_all <= 1; takes_all++) {
        begin_to_post(state);
        flows.takes_all = takes_all;
        flows_send(client, body, sizeof body - 1, true);
        flows_send(client, GET("/b"), strlen(GET("/b")), false);
        flows_settle();
        if (takes_all)
            assert_int_equal(flows.n_ahead, sizeof got - 1);
        flows_open(ERR_NONE);
        flows_expect(flows.origin, got, sizeof got - 1);
        flows_send(flows.origin, OK("1") "a", strlen(OK("1") "a"), false);
        flows_expect(client, KEPT("1") "a", strlen(KEPT("1") "a"));
        flows_expect(flows.origin, GOT("/b"), strlen(GOT("/b")));
        flows_send(flows.origin, OK("1") "b", strlen(OK("1") "b"), false);
        flows_expect(client, KEPT("1") "b", strlen(KEPT("1") "b"));
        end_client();
    }
}

static void a_malformed_body_ends_the_opening_of_its_target(void **state)
{
    static const char answer[] = REFUSED_400("43") "a.test:80: the request's body is malformed\n";
    begin_to_post(state);
    flows_send(client, "G", 1, false);
    flows_expect(client, answer, sizeof answer - 1);
    assert_int_equal(flows.n_cancelled, 1);
    end_client();
}

static void who_leaves_within_a_body_ends_the_opening_of_its_target(void **state)
{
    begin_to_post(state);
    flows_send(client, "5\r\nhe", 5, false);
    close_if_open(&client);
    FLOWS_UNTIL(flows.n_cancelled == 1);
    end_client();
}

static void a_request_whose_body_is_malformed_is_asked_for_nowhere(void **state)
{
    static const char post[] = "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                               "Transfer-Encoding: chunked\r\n\r\nG";
    static const char answer[] = REFUSED_400("43") "a.test:80: the request's body is malformed\n";
    flows_begin(backend_of(state), &inbound_mixed, (struct flow_limits){.idle_ms = IDLE_MS});
    flows_set(state);
    client = flows_client();
    flows_send(client, post, sizeof post - 1, false);
    flows_expect(client, answer, sizeof answer - 1);
    assert_int_equal(flows.n_asked, 0);
    close_if_open(&client);
    FLOWS_UNTIL(list_empty(&flows.env.live));
    flows_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL_AND_HESITANT(acc_39_exchanges_go_as_they_should),
        ON_ALL_AND_HESITANT(acc_39_who_it_is_is_asked_for_each_request),
        ON_ALL_AND_HESITANT(what_goes_wrong_is_told_or_cut),
        AHEAD_ON_BOTH(acc_39_exchanges_go_as_they_should),
        AHEAD_ON_BOTH(what_goes_wrong_is_told_or_cut),
        ON_ALL_AND_HESITANT(a_client_that_reads_late_may_go_on_with_a_body_that_was_refused),
        AHEAD_ON_BOTH(the_rules_may_change_while_what_went_ahead_of_a_target_is_under_way),
        AHEAD_ON_BOTH(a_body_goes_on_while_its_target_is_being_opened),
        AHEAD_ON_BOTH(a_malformed_body_ends_the_opening_of_its_target),
        AHEAD_ON_BOTH(who_leaves_within_a_body_ends_the_opening_of_its_target),
        ON_BOTH_WITH_SOCKETS(a_request_whose_body_is_malformed_is_asked_for_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

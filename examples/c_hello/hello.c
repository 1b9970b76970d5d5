/* A function in C: a static response, an allocated one, an echo and a stream. See README.md. */
#include <fezz.h>

#include <stdio.h>
#include <stdlib.h>

#define CHUNKS 5

static const FezzPair TEXT[] = {FEZZ_PAIR_INIT("content-type", "text/plain; charset=utf-8")};
static const FezzPair BYTES[] = {FEZZ_PAIR_INIT("content-type", "application/octet-stream")};

/* Set before the first call and valid for the life of the process. */
static const FezzHost *host;

uint32_t fezz_abi_version(void) {
    return FEZZ_ABI_VERSION;
}

int32_t fezz_init(const FezzHost *table) {
    host = table;
    fezz_log(host, NULL, FEZZ_LOG_INFO, FEZZ_STR("ready to greet"));
    return 0;
}

void fezz_shutdown(void) {
    fezz_log(host, NULL, FEZZ_LOG_INFO, FEZZ_STR("good-bye"));
}

/* Responds with a body from malloc; the host frees it through `release` when it has been sent. */
static void respond_owned(FezzResponse *response, FezzPairs headers, char *body, size_t len) {
    fezz_respond_static(response, 200, headers, fezz_slice(body, len));
    response->ctx = body;
    response->release = free;
}

/* GET /hello/{name} */
static void greet(const FezzRequest *request, FezzResponse *response) {
    static const char HELLO[] = "Hello, ";
    const FezzSlice name = fezz_param(request, "name");
    const size_t hello = sizeof HELLO - 1, len = hello + name.len + 2;
    char *body = malloc(len);
    if (!body) {
        fezz_respond_failed(response, FEZZ_STR("out of memory"));
        return;
    }
    memcpy(body, HELLO, hello);
    if (name.len != 0) {
        memcpy(body + hello, name.ptr, name.len);
    }
    memcpy(body + len - 2, "!\n", 2);
    respond_owned(response, FEZZ_PAIRS(TEXT), body, len);
}

/* POST /echo */
static void echo(const FezzRequest *request, FezzResponse *response) {
    char *body;
    if (request->body.len == 0) {
        fezz_respond_static(response, 200, FEZZ_PAIRS(BYTES), FEZZ_STR(""));
        return;
    }
    /* A copy, since the request is valid during this call only. To avoid it, `retain` the request here and `release` it
     * in the response's `release`. */
    body = malloc(request->body.len);
    if (!body) {
        fezz_respond_failed(response, FEZZ_STR("out of memory"));
        return;
    }
    memcpy(body, request->body.ptr, request->body.len);
    respond_owned(response, FEZZ_PAIRS(BYTES), body, request->body.len);
}

/* The state of one response of /count. */
typedef struct Count {
    FezzStream stream;
    unsigned sent;
} Count;

/* Each chunk is allocated separately: the host may still be sending it when it pulls the next one. A chunk is always
 * ready, so the waker is not used and the call never blocks. */
static uint32_t next_line(void *ctx, const FezzWaker *waker, FezzChunk *chunk) {
    Count *count = ctx;
    const size_t room = sizeof "chunk 4294967295\n";
    char *line;
    int len;
    (void)waker;
    if (count->sent == CHUNKS) {
        return FEZZ_STREAM_END;
    }
    line = malloc(room);
    if (!line) {
        chunk->data = FEZZ_STR("out of memory");
        return FEZZ_STREAM_ERROR;
    }
    count->sent++;
    len = snprintf(line, room, "chunk %u\n", count->sent);
    chunk->data = fezz_slice(line, (size_t)len);
    chunk->ctx = line;
    chunk->release = free;
    return FEZZ_STREAM_READY;
}

/* GET /count */
static void count_up(FezzResponse *response) {
    Count *count = calloc(1, sizeof *count);
    if (!count) {
        fezz_respond_failed(response, FEZZ_STR("out of memory"));
        return;
    }
    count->stream.size = sizeof count->stream;
    count->stream.ctx = count;
    count->stream.next_chunk = next_line;
    fezz_respond_static(response, 200, FEZZ_PAIRS(TEXT), fezz_slice(NULL, 0));
    response->stream = &count->stream;
    response->ctx = count;
    response->release = free;
}

void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    /* The host has matched path and method against fezz.json already. */
    if (fezz_slice_is(request->route, "/hello/{name}")) {
        greet(request, response);
    } else if (fezz_slice_is(request->route, "/echo")) {
        echo(request, response);
    } else if (fezz_slice_is(request->route, "/count")) {
        count_up(response);
    } else {
        fezz_respond_static(response, 200, FEZZ_PAIRS(TEXT), FEZZ_STR("Hello from C!\n"));
    }
}

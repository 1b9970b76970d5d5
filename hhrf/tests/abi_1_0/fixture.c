// A function as it was written for version 1.0 of the contract, and built with that header.
#include "fezz.h"
#include <stdatomic.h>

#if FEZZ_ABI_VERSION != 0x10000
#error "this is not the header of version 1.0"
#endif

static const FezzPair TEXT[] = {FEZZ_PAIR_INIT("content-type", "text/plain")};

uint32_t fezz_abi_version(void) {
    return FEZZ_ABI_VERSION;
}

uint32_t fezz_flags(void) {
    return FEZZ_FLAG_BODY_STREAM;
}

int32_t fezz_init(const FezzHost *host) {
    fezz_log(host, NULL, FEZZ_LOG_INFO, FEZZ_STR("built for 1.0"));
    return 0;
}

static uint32_t next_chunk(void *ctx, const FezzWaker *waker, FezzChunk *chunk) {
    (void)ctx;
    (void)waker;
    // The test reads the stream once.
    static atomic_int pulls;
    if (atomic_fetch_add(&pulls, 1) > 0) {
        return FEZZ_STREAM_END;
    }
    chunk->data = FEZZ_STR("in a stream");
    return FEZZ_STREAM_READY;
}

static FezzStream stream;

void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    FezzSlice path = request->path;
    if (path.len == 7 && memcmp(path.ptr, "/stream", 7) == 0) {
        stream.size = sizeof stream;
        stream.next_chunk = next_chunk;
        response->outcome = FEZZ_OUTCOME_RETURNED;
        response->status = 200;
        response->stream = &stream;
        return;
    }
    if (request->body_stream) {
        FezzChunk chunk = {.size = sizeof chunk};
        uint32_t answer = request->body_stream->next_chunk(request->body_stream->ctx, NULL, &chunk);
        bool has = answer == FEZZ_STREAM_READY && chunk.data.len > 0;
        if (chunk.release) {
            chunk.release(chunk.ctx);
        }
        if (has) {
            fezz_respond_static(response, 200, FEZZ_PAIRS(TEXT), FEZZ_STR("a body"));
            return;
        }
    }
    fezz_respond_static(response, 200, FEZZ_PAIRS(TEXT), FEZZ_STR("no upgrade"));
}

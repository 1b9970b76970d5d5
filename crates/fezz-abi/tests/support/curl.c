/* A minimal host: loads a library, makes one call and prints the response.
 *
 *     curl LIBRARY METHOD ROUTE BODY [NAME VALUE]     (a path parameter)
 */
#include <dlfcn.h>
#include <fezz.h>
#include <stdio.h>

static unsigned retained = 1;

static void retain(const FezzRequest *request) {
    (void)request;
    retained++;
}

static void release(const FezzRequest *request) {
    (void)request;
    retained--;
}

static void print(FezzSlice slice) {
    if (slice.len != 0) {
        fwrite(slice.ptr, 1, slice.len, stdout);
    }
}

static void print_pairs(FezzPairs pairs) {
    for (size_t i = 0; i < pairs.len; i++) {
        print(pairs.ptr[i].name);
        printf(": ");
        print(pairs.ptr[i].value);
        printf("\n");
    }
}

static void print_record(void *ctx, const FezzLogRecord *record) {
    printf("[%s %u ", (const char *)ctx, record->level);
    print(record->target);
    printf("] ");
    print(record->message);
    printf("\n");
}

static void print_stream(const FezzStream *stream) {
    for (;;) {
        FezzChunk chunk = {.size = sizeof chunk};
        uint32_t answer = stream->next_chunk(stream->ctx, NULL, &chunk);
        printf("<%u> ", answer);
        print(chunk.data);
        if (chunk.release) {
            chunk.release(chunk.ctx);
        }
        if (answer != FEZZ_STREAM_READY) {
            printf("\n");
            return;
        }
    }
}

/* ISO C has no conversion from an object pointer to a function pointer. */
static void find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
}

int main(int count, char **arguments) {
    uint32_t (*version)(void);
    int32_t (*init)(const FezzHost *);
    void (*fetch)(const FezzRequest *, FezzResponse *);
    void (*shut_down)(void);
    char ctx[] = "log";
    uint32_t cancelled = 0;
    const FezzHost host = {.size = sizeof host, .abi_version = FEZZ_ABI_VERSION, .log_level = FEZZ_LOG_INFO,
                           .ctx = ctx, .function_id = FEZZ_STR("test"), .log = print_record};
    FezzRequest request = {.size = sizeof request, .cancelled = &cancelled, .retain = retain, .release = release};
    FezzResponse response = {.size = sizeof response};
    FezzPair param;
    void *library;

    if (count != 5 && count != 7) {
        return 64;
    }
    library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    find(library, "fezz_abi_version", &version);
    find(library, "fezz_init", &init);
    find(library, "fezz_fetch", &fetch);
    find(library, "fezz_shutdown", &shut_down);
    if (!version || !fetch || version() >> 16 != FEZZ_ABI_MAJOR || (init && init(&host) != 0)) {
        return 2;
    }

    request.method = fezz_cstr(arguments[2]);
    request.route = fezz_cstr(arguments[3]);
    request.body = fezz_cstr(arguments[4]);
    if (count == 7) {
        param.name = fezz_cstr(arguments[5]);
        param.value = fezz_cstr(arguments[6]);
        request.params = fezz_pairs(&param, 1);
    }
    fetch(&request, &response);
    printf("%u\n", response.outcome == FEZZ_OUTCOME_RETURNED ? response.status : 502);
    print_pairs(response.headers);
    if (response.stream) {
        print_stream(response.stream);
    } else {
        print(response.body);
    }
    if (response.release) {
        response.release(response.ctx);
    }
    if (shut_down) {
        shut_down();
    }
    return retained == 1 ? 0 : 3;
}

/*
 * The C contract between the fezz host and its functions, version 1.
 *
 * The twin of the Rust crate `fezz-abi`: the same structs, constants and symbols. `docs/abi.md` explains how to use
 * them. Needs C11 or C++17 and the compiler's `__atomic` builtins (GCC, Clang); links against nothing.
 *
 * Four rules hold everywhere:
 *
 * 1. Bytes are freed by the side that allocated them, through the `release` that came with them.
 * 2. No exception crosses the boundary, in either direction.
 * 3. A struct begins with its own `size`, as the side that filled it knows it, so that a minor version can append
 *    fields; a reader must not look beyond it (see FEZZ_HAS). FezzSlice, FezzPair, FezzPairs and FezzWaker have no size
 *    and never change.
 * 4. A pointer is valid as long as its item says, and no longer.
 */
#ifndef FEZZ_H
#define FEZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__cplusplus)
#define FEZZ_NOEXCEPT noexcept
#define FEZZ_EXTERN_C extern "C"
#else
#define FEZZ_NOEXCEPT
#define FEZZ_EXTERN_C extern
#endif

/* Marks a symbol that the host looks up, also under `-fvisibility=hidden`. */
#define FEZZ_EXPORT FEZZ_EXTERN_C __attribute__((visibility("default")))

/* ---- Version ------------------------------------------------------------------------------------------- */

/* Major version: a host refuses a library that was built for another one. */
#define FEZZ_ABI_MAJOR 1u
/* Minor version: grows when fields are appended to a struct; any minor of the same major is accepted. */
#define FEZZ_ABI_MINOR 1u
/* What `fezz_abi_version` returns: `major << 16 | minor`. */
#define FEZZ_ABI_VERSION (FEZZ_ABI_MAJOR << 16 | FEZZ_ABI_MINOR)

/* Whether the side that filled `*pointer`, a `type`, knows `field`: `if (FEZZ_HAS(FezzRequest, request, body))`. Fields
 * of minor version 0 are always present; check before you read a later one. */
#define FEZZ_HAS(type, pointer, field) \
    ((pointer)->size >= offsetof(type, field) + sizeof((pointer)->field))

/* ---- Borrowed bytes ------------------------------------------------------------------------------------ */

/* Borrowed bytes. `ptr` may be NULL when `len` is 0. Text is UTF-8 where the field says so, and never
 * NUL-terminated. */
typedef struct FezzSlice {
    /* First byte. */
    const uint8_t *ptr;
    /* Length in bytes. */
    size_t len;
} FezzSlice;

/* A name and a value: a header, a path parameter, a variable, a log field. */
typedef struct FezzPair {
    /* The name. */
    FezzSlice name;
    /* The value; bytes of any kind. */
    FezzSlice value;
} FezzPair;

/* A borrowed array of pairs, in order; names may repeat. */
typedef struct FezzPairs {
    /* First pair; may be NULL when `len` is 0. */
    const FezzPair *ptr;
    /* Number of pairs. */
    size_t len;
} FezzPairs;

/* ---- Wakers: usable from any thread, after the call and after an eviction ------------------------------ */

/* The functions of a FezzWaker; each may be called from any thread. None may be NULL. */
typedef struct FezzWakerVtable {
    /* `sizeof(FezzWakerVtable)` in the side that filled it. */
    size_t size;
    /* Returns one more handle to the same task, to be freed by `wake` or `drop`. */
    const void *(*clone)(const void *ctx);
    /* Wakes the task and frees this handle. */
    void (*wake)(const void *ctx);
    /* Wakes the task and keeps this handle. */
    void (*wake_by_ref)(const void *ctx);
    /* Frees this handle. */
    void (*drop)(const void *ctx);
} FezzWakerVtable;

/* A handle that wakes a task of the other side. Passed borrowed: call `clone` to keep it. */
typedef struct FezzWaker {
    /* Given to each of the table's functions. */
    const void *ctx;
    /* Never NULL, and valid for the life of the process. */
    const FezzWakerVtable *vtable;
} FezzWaker;

/* ---- Streams: bodies in chunks, the same type for requests and responses ------------------------------- */

/* Result of `next_chunk`: a chunk was written; pull again. */
#define FEZZ_STREAM_READY 0u
/* Result of `next_chunk`: no chunk yet; the waker will be woken. */
#define FEZZ_STREAM_PENDING 1u
/* Result of `next_chunk`: the body is complete. */
#define FEZZ_STREAM_END 2u
/* Result of `next_chunk`: the body was cut off; the chunk holds the reason as text. The receiver must treat the body as
 * incomplete. */
#define FEZZ_STREAM_ERROR 3u

/* Flag of FezzStream: `next_chunk` may block, so it is called with a NULL waker on a thread that may block. */
#define FEZZ_STREAM_BLOCKING 1u

/* One chunk of a body, owned by the side that produced it until `release`. The reader passes a zeroed struct with `size`
 * set. */
typedef struct FezzChunk {
    /* `sizeof(FezzChunk)` in the side that reads it, set before the call. */
    size_t size;
    /* The bytes. */
    FezzSlice data;
    /* Given to `release`. */
    void *ctx;
    /* Frees the bytes; called exactly once, from any thread. NULL if nothing is to be freed. */
    void (*release)(void *ctx);
    /* Since 1.1. With FEZZ_STREAM_END: the body's trailers, valid until `release`. A producer writes it only if `size`
     * covers it. */
    FezzPairs trailers;
} FezzChunk;

/* A pull stream of chunks. One caller at a time, from any thread. */
typedef struct FezzStream {
    /* `sizeof(FezzStream)` in the side that filled it. */
    size_t size;
    /* Given to `next_chunk`. */
    void *ctx;
    /* Writes the next chunk. With a waker: returns FEZZ_STREAM_PENDING instead of blocking, and wakes it later. With a
     * NULL waker: blocks until it has a result. Not called again after FEZZ_STREAM_END or FEZZ_STREAM_ERROR. Must not
     * be NULL. */
    uint32_t (*next_chunk)(void *ctx, const FezzWaker *waker, FezzChunk *chunk);
    /* 0 or FEZZ_STREAM_BLOCKING. */
    uint32_t flags;
    /* 0. Padding made explicit, so that an appended field makes the struct larger. */
    uint32_t reserved;
} FezzStream;

/* ---- Request ------------------------------------------------------------------------------------------- */

/* `http_version` of FezzRequest: HTTP/1.0. */
#define FEZZ_HTTP_1_0 10u
/* `http_version` of FezzRequest: HTTP/1.1. */
#define FEZZ_HTTP_1_1 11u
/* `http_version` of FezzRequest: HTTP/2. */
#define FEZZ_HTTP_2 20u

/* Flag of FezzRequest: the target has a `?` with nothing behind it. */
#define FEZZ_REQUEST_EMPTY_QUERY 1u

/*
 * One request, borrowed from the host.
 *
 * Everything in it is valid until the call ends: when `fezz_fetch` returns, or the task of `fezz_fetch_async` is
 * dropped. A function that needs it for longer (a detached thread, a streamed response) calls `retain` and, as often,
 * `release`; both may be called from any thread.
 */
typedef struct FezzRequest FezzRequest;
struct FezzRequest {
    /* `sizeof(FezzRequest)` in the host. */
    size_t size;
    /* Method, as sent: `GET`. */
    FezzSlice method;
    /* Path below the function's own prefix, percent-encoded as sent: `/todos/7`. */
    FezzSlice path;
    /* Query without its `?`, as sent; empty if there is none. */
    FezzSlice query;
    /* The route of `fezz.json` that matched: `/todos/{id}`. */
    FezzSlice route;
    /* Path parameters in the order of the route, percent-decoded UTF-8. */
    FezzPairs params;
    /* Headers: lower-case names that may repeat, values of any bytes. Hop-by-hop headers are removed. */
    FezzPairs headers;
    /* The whole body; empty if `body_stream` is set. */
    FezzSlice body;
    /* The body as a stream, if the function asked for one; else NULL. Read by the function. */
    const FezzStream *body_stream;
    /* Id of the request (`x-request-id`), visible ASCII. */
    FezzSlice request_id;
    /* W3C `traceparent` as sent; empty if there is none. */
    FezzSlice traceparent;
    /* The client's address as text, `127.0.0.1:51234`. */
    FezzSlice client_addr;
    /* Nanoseconds from the start of the call to its deadline; 0 if there is no deadline. */
    uint64_t time_left_ns;
    /* Becomes 1 when the response is no longer wanted (deadline, client gone); read it with fezz_is_cancelled. */
    const uint32_t *cancelled;
    /* Adds a reference: this request, and all that it points to, stays valid until one more `release`. */
    void (*retain)(const FezzRequest *request);
    /* Drops a reference of `retain`; the request must not be used after the last. */
    void (*release)(const FezzRequest *request);
    /* Since 1.1. The version that the client speaks: FEZZ_HTTP_1_0, FEZZ_HTTP_1_1 or FEZZ_HTTP_2; 0 where unknown. */
    uint32_t http_version;
    /* Since 1.1. 0 or FEZZ_REQUEST_EMPTY_QUERY. */
    uint32_t flags;
    /* Since 1.1. `http` or `https`, as the client reached the host; empty where unknown. */
    FezzSlice scheme;
    /* Since 1.1. The authority of the request's target (absolute form, or HTTP/2's `:authority`); empty if it has none. */
    FezzSlice authority;
    /* Since 1.1. Trailers of the whole body; those of a `body_stream` come with its end. */
    FezzPairs trailers;
    /* Since 1.1. The protocol that the client asks to upgrade the connection to, as sent: `websocket`. Empty if there is
     * no upgrade on offer; only then may the response be 101. */
    FezzSlice upgrade;
    /* Since 1.1. What the client sends after the upgrade; NULL if there is none on offer. Answers FEZZ_STREAM_PENDING
     * until the response with 101 is taken. Valid as long as the request: retain it. */
    const FezzStream *upgraded;
};

/* ---- Response ------------------------------------------------------------------------------------------ */

/* The function answered; status, headers and body are its response. */
#define FEZZ_OUTCOME_RETURNED 0u
/* The function panicked and its SDK caught it; `body` is the panic's message, for the host's log. */
#define FEZZ_OUTCOME_PANICKED 1u
/* The function could not build its response; `body` is the reason, for the host's log. */
#define FEZZ_OUTCOME_FAILED 2u

/*
 * One response, owned by the function until the host calls `release`.
 *
 * The host passes a zeroed struct with `size` set; the function fills it in. A struct left unchanged (status 0) becomes
 * a 502.
 */
typedef struct FezzResponse {
    /* `sizeof(FezzResponse)` in the host, set before the call; fields beyond it must not be written. */
    size_t size;
    /* FEZZ_OUTCOME_RETURNED, FEZZ_OUTCOME_PANICKED or FEZZ_OUTCOME_FAILED. */
    uint32_t outcome;
    /* HTTP status, 200 to 599; or 101, with `stream`, if an upgrade is on offer: `stream` is then what the client gets
     * after the upgrade. */
    uint32_t status;
    /* Headers; names may repeat. */
    FezzPairs headers;
    /* The whole body, if `stream` is NULL. */
    FezzSlice body;
    /* The body as a pull stream; else NULL. Points at memory that lives until `release`. */
    const FezzStream *stream;
    /* Given to `release`. */
    void *ctx;
    /* Frees all that this response points to. Called exactly once, from any thread, when the body has been sent or the
     * client is gone. NULL if nothing is to be freed. */
    void (*release)(void *ctx);
} FezzResponse;

/* ---- Asynchronous calls -------------------------------------------------------------------------------- */

/* Result of `poll`: the response was written; the task must not be polled again. */
#define FEZZ_TASK_READY 0u
/* Result of `poll`: no response yet; the waker will be woken. */
#define FEZZ_TASK_PENDING 1u

/* A running asynchronous call. The host passes a zeroed struct with `size` set; the function fills it in. */
typedef struct FezzTask {
    /* `sizeof(FezzTask)` in the host, set before the call. */
    size_t size;
    /* Given to `poll` and `drop`. */
    void *ctx;
    /* Makes progress without blocking: writes the response and returns FEZZ_TASK_READY, or keeps a clone of the waker
     * and returns FEZZ_TASK_PENDING. One caller at a time, from any thread. NULL if the call could not be started. */
    uint32_t (*poll)(void *ctx, const FezzWaker *waker, FezzResponse *response);
    /* Frees the task; called exactly once, from any thread. Cancels an unfinished task. */
    void (*drop)(void *ctx);
} FezzTask;

/* ---- Host ---------------------------------------------------------------------------------------------- */

/* Level of a log record: an error. */
#define FEZZ_LOG_ERROR 1u
/* Level of a log record: a warning. */
#define FEZZ_LOG_WARN 2u
/* Level of a log record: information. */
#define FEZZ_LOG_INFO 3u
/* Level of a log record: for debugging. */
#define FEZZ_LOG_DEBUG 4u
/* Level of a log record: the finest. */
#define FEZZ_LOG_TRACE 5u

/* One log record, borrowed for the call. All text is UTF-8. */
typedef struct FezzLogRecord {
    /* `sizeof(FezzLogRecord)` in the function. */
    size_t size;
    /* FEZZ_LOG_ERROR to FEZZ_LOG_TRACE. */
    uint32_t level;
    /* Line in `file`; 0 where unknown. */
    uint32_t line;
    /* Its source: a module path. */
    FezzSlice target;
    /* The message. */
    FezzSlice message;
    /* Source file; may be empty. */
    FezzSlice file;
    /* Id of its request; may be empty. */
    FezzSlice request_id;
    /* Structured fields. */
    FezzPairs fields;
} FezzLogRecord;

/* The host's table. It and all that it points to are immutable and live as long as the process, evictions included: the
 * same pointer at a later load means that nothing has changed. */
typedef struct FezzHost {
    /* `sizeof(FezzHost)` in the host. */
    size_t size;
    /* The contract that the host speaks: `major << 16 | minor`. */
    uint32_t abi_version;
    /* Most detailed level that the host wants to see: FEZZ_LOG_ERROR to FEZZ_LOG_TRACE; 0 for none. */
    uint32_t log_level;
    /* Given to `log`. */
    void *ctx;
    /* Id of the function, UTF-8. */
    FezzSlice function_id;
    /* Version of the function, UTF-8. */
    FezzSlice function_version;
    /* A directory for this function id alone, kept across its versions; a path as bytes. */
    FezzSlice data_dir;
    /* The function's variables and secrets, UTF-8. */
    FezzPairs variables;
    /* Writes one record to the host's log; from any thread, at any time. */
    void (*log)(void *ctx, const FezzLogRecord *record);
    /* Since 1.1. The folder with the files that were deployed beside the library, read-only; a path as bytes. Empty if
     * there are none. */
    FezzSlice assets_dir;
} FezzHost;

/* ---- Flags --------------------------------------------------------------------------------------------- */

/* Answer of `fezz_init`: this copy of the library cannot be set up again after an attempt that has failed, but a fresh one
 * can. The host then loads one. */
#define FEZZ_INIT_STALE 3u

/* Flag of `fezz_flags`: request bodies come as a stream and are not buffered first. */
#define FEZZ_FLAG_BODY_STREAM 1u
/* Flag of `fezz_flags`: calls go to `fezz_fetch`, on a thread that may block, even if `fezz_fetch_async` is exported. */
#define FEZZ_FLAG_BLOCKING 2u
/* Flag of `fezz_flags`, since 1.1: the function may answer with 101. Without it no upgrade is offered to it. */
#define FEZZ_FLAG_UPGRADE 4u
/* Flag of `fezz_flags`, since 1.1: request bodies that are long, or of unknown length, come as a stream; short ones are
 * buffered first. */
#define FEZZ_FLAG_BODY_MAY_STREAM 8u

/* ---- The symbols that a function library exports ------------------------------------------------------- */

/* In C++ these are `noexcept`, and their definitions must be too: an exception that leaves them calls std::terminate.
 * Catch it before that. */

/* Required. The contract that the library was built for: `return FEZZ_ABI_VERSION;`. */
FEZZ_EXPORT uint32_t fezz_abi_version(void) FEZZ_NOEXCEPT;

/* Required. One request, one response; may block its thread. Called from many threads at once. */
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) FEZZ_NOEXCEPT;

/* Optional. Starts a call that the host polls; must not block. */
FEZZ_EXPORT void fezz_fetch_async(const FezzRequest *request, FezzTask *task) FEZZ_NOEXCEPT;

/* Optional. How the function wants to be called: a sum of FEZZ_FLAG_BODY_STREAM, FEZZ_FLAG_BLOCKING, FEZZ_FLAG_UPGRADE and
 * FEZZ_FLAG_BODY_MAY_STREAM. Asked once after each load, before `fezz_init`. */
FEZZ_EXPORT uint32_t fezz_flags(void) FEZZ_NOEXCEPT;

/* Optional. Once after each load, before the first call. Anything but 0 refuses the load; see FEZZ_INIT_STALE. */
FEZZ_EXPORT int32_t fezz_init(const FezzHost *host) FEZZ_NOEXCEPT;

/* Optional. After the last call, when the function is evicted or its host drains. */
FEZZ_EXPORT void fezz_shutdown(void) FEZZ_NOEXCEPT;

/* ==== Helpers: nothing below is part of the binary contract ============================================= */

#if defined(__cplusplus)
#define FEZZ_BYTES_(pointer) (reinterpret_cast<const uint8_t *>(pointer))
#else
#define FEZZ_BYTES_(pointer) ((const uint8_t *)(pointer))
#endif

/* A slice of a string literal, as an initialiser: `static const FezzSlice NAME = FEZZ_STR_INIT("name");`. */
#define FEZZ_STR_INIT(literal) {FEZZ_BYTES_("" literal), sizeof(literal) - 1}

/* A pair of string literals, as an initialiser:
 * `static const FezzPair TEXT[] = {FEZZ_PAIR_INIT("content-type", "text/plain")};`. */
#define FEZZ_PAIR_INIT(name, value) {FEZZ_STR_INIT(name), FEZZ_STR_INIT(value)}

/* A slice of a string literal, as an expression; the literal's NUL is not in it. */
#define FEZZ_STR(literal) (fezz_slice("" literal, sizeof(literal) - 1))

/* The pairs of an array, not of a pointer, as an expression: `FEZZ_PAIRS(TEXT)`. The array must outlive their use. */
#define FEZZ_PAIRS(array) (fezz_pairs((array), sizeof(array) / sizeof((array)[0])))

/* A slice of `len` bytes at `ptr`, which it borrows. */
static inline FezzSlice fezz_slice(const void *ptr, size_t len) {
    FezzSlice slice;
#if defined(__cplusplus)
    slice.ptr = static_cast<const uint8_t *>(ptr);
#else
    slice.ptr = (const uint8_t *)ptr;
#endif
    slice.len = len;
    return slice;
}

/* A slice of a NUL-terminated string, which it borrows; empty for NULL. */
static inline FezzSlice fezz_cstr(const char *text) {
    return fezz_slice(text, text ? strlen(text) : 0);
}

/* `len` pairs at `ptr`, which it borrows. */
static inline FezzPairs fezz_pairs(const FezzPair *ptr, size_t len) {
    FezzPairs pairs;
    pairs.ptr = ptr;
    pairs.len = len;
    return pairs;
}

/* Whether both hold the same bytes. */
static inline bool fezz_slice_eq(FezzSlice a, FezzSlice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Whether a slice holds exactly this NUL-terminated text: `fezz_slice_is(request->method, "GET")`. */
static inline bool fezz_slice_is(FezzSlice slice, const char *text) {
    return fezz_slice_eq(slice, fezz_cstr(text));
}

/* The first pair of this name, or NULL. Names are compared byte by byte. */
static inline const FezzPair *fezz_find(FezzPairs pairs, const char *name) {
    for (size_t i = 0; i < pairs.len; i++) {
        if (fezz_slice_is(pairs.ptr[i].name, name)) {
            return &pairs.ptr[i];
        }
    }
    return NULL;
}

/* The first value of this name; empty if there is none. fezz_find tells an empty value from a missing one. */
static inline FezzSlice fezz_value(FezzPairs pairs, const char *name) {
    const FezzPair *pair = fezz_find(pairs, name);
    return pair ? pair->value : fezz_slice(NULL, 0);
}

/* The first value of a request header; `name` in lower case. Valid as long as the request. */
static inline FezzSlice fezz_header(const FezzRequest *request, const char *name) {
    return fezz_value(request->headers, name);
}

/* A path parameter of the route, percent-decoded: `id` of `/todos/{id}`. Valid as long as the request. */
static inline FezzSlice fezz_param(const FezzRequest *request, const char *name) {
    return fezz_value(request->params, name);
}

/* A variable or secret of the function. Valid for the life of the process. */
static inline FezzSlice fezz_variable(const FezzHost *host, const char *name) {
    return fezz_value(host->variables, name);
}

/* Whether the response is no longer wanted. Cheap: long work should check it regularly, from any thread. */
static inline bool fezz_is_cancelled(const FezzRequest *request) {
    return request->cancelled && __atomic_load_n(request->cancelled, __ATOMIC_RELAXED) != 0;
}

/* Responds with headers and a body that are never freed: literals, constants. For others set `ctx` and `release` too. */
static inline void fezz_respond_static(FezzResponse *response, uint32_t status, FezzPairs headers, FezzSlice body) {
    response->outcome = FEZZ_OUTCOME_RETURNED;
    response->status = status;
    response->headers = headers;
    response->body = body;
}

/* Reports that the response could not be built. The reason goes to the host's log and is never freed: a literal. */
static inline void fezz_respond_failed(FezzResponse *response, FezzSlice reason) {
    response->outcome = FEZZ_OUTCOME_FAILED;
    response->body = reason;
}

/* Writes a message to the host's log, unless the host does not want its level. `request` may be NULL. */
static inline void fezz_log(const FezzHost *host, const FezzRequest *request, uint32_t level, FezzSlice message) {
    FezzLogRecord record;
    if (level > host->log_level) {
        return;
    }
    memset(&record, 0, sizeof record);
    record.size = sizeof record;
    record.level = level;
    record.target = host->function_id;
    record.message = message;
    if (request) {
        record.request_id = request->request_id;
    }
    host->log(host->ctx, &record);
}

#endif /* FEZZ_H */

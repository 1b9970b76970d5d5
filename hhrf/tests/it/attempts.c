/*
 * A function that attempts what a sandbox may refuse. The last part of the path says what; the body has its arguments,
 * separated by spaces. Answers `allowed`, or `refused: ` and the error.
 *
 * `/call/NAME` makes a system call: a number is passed as it is, `'text` as a pointer to that text, `&` as a pointer to a
 * zeroed buffer. Everything else is an attempt of several calls.
 */
#define _GNU_SOURCE
#include "fezz.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_ARGUMENTS 6

static const struct { const char *name; long number; } CALLS[] = {
#define CALL(name) { #name, SYS_##name }
    CALL(kill), CALL(tkill), CALL(tgkill), CALL(rt_sigqueueinfo), CALL(rt_tgsigqueueinfo), CALL(pidfd_open),
    CALL(pidfd_send_signal), CALL(sched_setaffinity), CALL(sched_setscheduler), CALL(sched_setparam),
    CALL(sched_setattr), CALL(setpriority), CALL(getpriority), CALL(ioprio_set), CALL(prlimit64), CALL(ptrace),
    CALL(process_vm_readv), CALL(process_vm_writev), CALL(process_madvise), CALL(migrate_pages), CALL(move_pages),
    CALL(kcmp), CALL(perf_event_open), CALL(get_robust_list), CALL(setpgid), CALL(getpgid), CALL(getsid),
    CALL(utimensat), CALL(fchmodat), CALL(fchownat), CALL(setxattr), CALL(lsetxattr), CALL(removexattr),
    CALL(inotify_init1), CALL(inotify_add_watch), CALL(fanotify_init), CALL(fanotify_mark), CALL(name_to_handle_at),
    CALL(mknodat), CALL(truncate), CALL(mount), CALL(umount2), CALL(open_tree), CALL(move_mount), CALL(fsopen),
    CALL(chroot), CALL(pivot_root), CALL(setns), CALL(unshare), CALL(userfaultfd), CALL(bpf), CALL(keyctl),
    CALL(add_key), CALL(request_key), CALL(io_uring_setup), CALL(io_uring_enter), CALL(seccomp), CALL(clone),
    CALL(clone3), CALL(execve), CALL(execveat), CALL(mq_open), CALL(shmget), CALL(msgget), CALL(semget),
    CALL(quotactl), CALL(swapon), CALL(reboot), CALL(init_module), CALL(syslog), CALL(personality), CALL(setuid),
    CALL(prctl), CALL(memfd_create), CALL(mmap), CALL(accept4), CALL(listen), CALL(socket), CALL(socketpair),
    CALL(vmsplice), CALL(sched_getaffinity), CALL(dup), CALL(fchown), CALL(memfd_secret), CALL(landlock_create_ruleset),
#ifdef __x86_64__
    CALL(chmod), CALL(chown), CALL(lchown), CALL(utime), CALL(utimes), CALL(futimesat), CALL(inotify_init),
    CALL(fork), CALL(vfork), CALL(mknod), CALL(iopl), CALL(ioperm),
#endif
};

static const char *arguments[MAX_ARGUMENTS];
static char text[8192];

static long number(int index) {
    return arguments[index] ? strtol(arguments[index], NULL, 0) : 0;
}

static long call(const char *name, long door) {
    static char buffer[4096];
    long values[MAX_ARGUMENTS] = { 0 };
    memset(buffer, 0, sizeof buffer);
    for (int i = 0; i < MAX_ARGUMENTS && arguments[i]; i++) {
        if (arguments[i][0] == '\'') values[i] = (long)(arguments[i] + 1);
        else if (arguments[i][0] == '&') values[i] = (long)buffer;
        else values[i] = number(i);
    }
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++)
        if (!strcmp(CALLS[i].name, name))
            return syscall(CALLS[i].number | door, values[0], values[1], values[2], values[3], values[4], values[5]);
    errno = ENOENT;
    return -1;
}

/* A descriptor of its own that can signal: the end of a pair of sockets. */
static int own_socket(void) {
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? -1 : pair[0];
}

/* Sends a datagram from one end of a pair to the path of another socket. */
static long datagram(int type) {
    int pair[2];
    struct sockaddr_un path = { .sun_family = AF_UNIX };
    if (socketpair(AF_UNIX, type, 0, pair)) return -1;
    strncpy(path.sun_path, arguments[0], sizeof path.sun_path - 1);
    return sendto(pair[0], "out", 3, 0, (struct sockaddr *)&path, sizeof path);
}

static struct sockaddr_in loopback(long port) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Connects a socket of this type and protocol to a port of this machine. */
static long connects(int type, int protocol) {
    struct sockaddr_in address = loopback(number(0));
    int fd = socket(AF_INET, type, protocol);
    if (fd < 0) return -1;
    long result = connect(fd, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

/* The ways to connect by sending. */
static long fast_open(const char *how) {
    struct sockaddr_in address = loopback(number(0));
    struct iovec piece = { "x", 1 };
    struct mmsghdr message = { .msg_hdr = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &piece, .msg_iovlen = 1 } };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    long result = -1;
    if (fd < 0) return -1;
    if (!strcmp(how, "sendto")) result = sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address);
    if (!strcmp(how, "sendmsg")) result = sendmsg(fd, &message.msg_hdr, MSG_FASTOPEN);
    if (!strcmp(how, "sendmmsg")) result = sendmmsg(fd, &message, 1, MSG_FASTOPEN | MSG_NOSIGNAL);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static long option(int level, int name, const void *value, socklen_t length) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    long result = fd < 0 ? -1 : setsockopt(fd, level, name, value, length);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static long on_file(const char *what) {
    int fd = open(arguments[0], O_RDONLY | O_CLOEXEC);
    struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
    long flags = 0;
    long result = -1;
    if (fd < 0) return -1;
    if (!strcmp(what, "futimens")) result = futimens(fd, times);
    if (!strcmp(what, "fchmod")) result = fchmod(fd, 0600);
    if (!strcmp(what, "fchown")) result = fchown(fd, 0, 0);
    if (!strcmp(what, "lease")) result = fcntl(fd, F_SETLEASE, F_RDLCK);
    if (!strcmp(what, "notify")) result = fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT);
    if (!strcmp(what, "attributes")) result = ioctl(fd, 0x40086602 /* FS_IOC_SETFLAGS */, &flags);
    if (!strcmp(what, "xattr")) result = syscall(SYS_fsetxattr, fd, "user.x", "x", 1, 0);
    if (!strcmp(what, "read")) result = read(fd, &flags, 1) == 1 ? 0 : -1;
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static long owner(const char *how) {
    int fd = own_socket();
    int process = (int)number(0);
    struct f_owner_ex extended = { F_OWNER_PID, process };
    int on = 1;
    long result = -1;
    if (fd < 0) return -1;
    if (!strcmp(how, "F_SETOWN")) result = fcntl(fd, F_SETOWN, process);
    if (!strcmp(how, "F_SETOWN_EX")) result = fcntl(fd, F_SETOWN_EX, &extended);
    if (!strcmp(how, "F_SETSIG")) result = fcntl(fd, F_SETSIG, 9);
    if (!strcmp(how, "O_ASYNC")) result = fcntl(fd, F_SETFL, O_ASYNC);
    if (!strcmp(how, "FIOSETOWN")) result = ioctl(fd, FIOSETOWN, &process);
    if (!strcmp(how, "SIOCSPGRP")) result = ioctl(fd, SIOCSPGRP, &process);
    if (!strcmp(how, "FIOASYNC")) result = ioctl(fd, FIOASYNC, &on);
    if (!strcmp(how, "O_NONBLOCK")) result = fcntl(fd, F_SETFL, O_NONBLOCK);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

/* What is open, apart from what this very look opens: kind or path of each descriptor. */
static long descriptors(void) {
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    if (!folder) return -1;
    text[0] = 0;
    while ((entry = readdir(folder))) {
        char target[256] = { 0 };
        if (atoi(entry->d_name) == dirfd(folder)) continue;
        if (readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1) > 0)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s=%s\n", entry->d_name, target);
    }
    closedir(folder);
    return 0;
}

/* Writes a file in the folder for temporary files, and gives its path. */
static long temporary(void) {
    const char *folder = getenv("TMPDIR");
    snprintf(text, sizeof text, "%s/x", folder ? folder : "/tmp");
    FILE *file = fopen(text, "w");
    if (!file) return -1;
    fputs("x", file);
    return fclose(file);
}

/* Looks a name up, as the C library does. */
static long resolve(void) {
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found;
    if (getaddrinfo(arguments[0], NULL, &hints, &found)) {
        errno = EHOSTUNREACH;
        return -1;
    }
    inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, text, sizeof text);
    freeaddrinfo(found);
    return 0;
}

#ifdef __x86_64__
/* `getpid` through the door of 32-bit programs. */
static long int80(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
    if (result < 0) errno = (int)-result;
    return result < 0 ? -1 : 0;
}
#endif

static long attempt(const char *what) {
    if (!strncmp(what, "call/", 5)) return call(what + 5, 0);
    if (!strncmp(what, "x32/", 4)) return call(what + 4, 0x40000000);
    if (!strncmp(what, "owner/", 6)) return owner(what + 6);
    if (!strncmp(what, "file/", 5)) return on_file(what + 5);
    if (!strncmp(what, "fast-open/", 10)) return fast_open(what + 10);
    if (!strcmp(what, "datagram")) return datagram(SOCK_DGRAM);
    if (!strcmp(what, "raw-datagram")) return datagram(SOCK_RAW);
    if (!strcmp(what, "tcp")) return connects(SOCK_STREAM, 0);
    if (!strcmp(what, "mptcp")) return connects(SOCK_STREAM, 262);
    if (!strcmp(what, "smc")) return connects(SOCK_STREAM, 256);
    if (!strcmp(what, "sctp")) return connects(SOCK_STREAM, 132);
    if (!strcmp(what, "sctp-packets")) return connects(SOCK_SEQPACKET, 132);
    if (!strcmp(what, "udp")) return connects(SOCK_DGRAM, 0);
    if (!strcmp(what, "udplite")) return connects(SOCK_DGRAM, 136);
    if (!strcmp(what, "ping")) return connects(SOCK_DGRAM, 1);
    if (!strcmp(what, "raw")) return connects(SOCK_RAW, 255);
    if (!strcmp(what, "option/ulp")) return option(IPPROTO_TCP, TCP_ULP, "smc", 3);
    if (!strcmp(what, "option/fast-open")) return option(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){ 1 }, sizeof(int));
    if (!strcmp(what, "option/no-delay")) return option(IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    if (!strcmp(what, "descriptors")) return descriptors();
    if (!strcmp(what, "resolve")) return resolve();
    if (!strcmp(what, "temporary")) return temporary();
    /* Left open, and without close-on-exec. */
    if (!strcmp(what, "leak")) return open(arguments[0], O_RDWR);
#ifdef __x86_64__
    if (!strcmp(what, "int80")) return int80();
#endif
    errno = ENOENT;
    return -1;
}

FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }

#ifdef REFUSE_OPEN_FILES
/* Fails where a file is open that is not its own, or where it cannot have temporary ones. */
FEZZ_EXPORT int32_t fezz_init(const FezzHost *host) {
    (void)host;
    if (temporary() < 0) return -1;
    for (int fd = 3; fd < 1024; fd++) {
        struct stat found;
        if (!fstat(fd, &found) && S_ISREG(found.st_mode)) return fd;
    }
    return 0;
}
#endif

FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    static char body[4096], what[256], answer[9000];
    size_t length = request->body.len < sizeof body - 1 ? request->body.len : sizeof body - 1;
    memset(arguments, 0, sizeof arguments);
    if (length) memcpy(body, request->body.ptr, length);
    body[length] = 0;
    int count = 0;
    for (char *word = strtok(body, " "); word && count < MAX_ARGUMENTS; word = strtok(NULL, " ")) arguments[count++] = word;
    snprintf(what, sizeof what, "%.*s", (int)request->path.len - 1, (const char *)request->path.ptr + 1);
    text[0] = 0;
    if (attempt(what) < 0) snprintf(answer, sizeof answer, "refused: %s", strerror(errno));
    else snprintf(answer, sizeof answer, "%s", text[0] ? text : "allowed");
    response->status = 200;
    response->body = (FezzSlice){ (const uint8_t *)answer, strlen(answer) };
}

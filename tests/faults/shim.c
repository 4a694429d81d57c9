/* Makes system calls fail on purpose, for what they are made of in every process that it is loaded into.
 *
 * Counted are calls that write, sync, name, lock or fork, on files below FAULT_BELOW. The counter is shared by all
 * processes, in the file FAULT_CONTROL; which calls fail stands there too. Calls beside it go through untouched.
 *
 * Calls fail by their number: `first`, and every `every` after it. Or, with `each`, by what they do: of all calls of a
 * kind on one file (random parts of its name left out; for a log, of one type of event) the first fails, then one goes
 * through, then the next fails, until `each` have failed; `first` is of how many such kinds one is taken.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LOG = 4 << 20, SLOTS = 1 << 16, SIZE = LOG + 4096 + SLOTS * 16 };

struct control {
    atomic_ulong on;      /* faults happen */
    atomic_ulong first;   /* the first call that fails */
    atomic_ulong every;   /* and every so many after it; 0: none */
    atomic_ulong count;   /* calls so far */
    atomic_ulong failed;  /* of them, those that failed */
    atomic_ulong used;    /* bytes of the log */
    atomic_ulong each;    /* how often each kind of call on each file fails; 0: by number */
    atomic_ulong targets; /* kinds and files seen */
    struct slot { atomic_ulong key, calls; } slots[SLOTS];
    char log[];           /* a line for each that failed */
};

static struct control *control;
static char below[PATH_MAX];
static size_t below_length;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULT_CONTROL"), *folder = getenv("FAULT_BELOW");
    if (!file || !folder) return;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return;
    snprintf(below, sizeof below, "%s/", folder);
    below_length = strlen(below);
    control = at;
}

static int is_below(const char *path) { return strncmp(path, below, below_length) == 0; }

static int of_path(int folder, const char *path, char *whole) {
    if (!path) return 0;
    if (path[0] == '/') {
        snprintf(whole, PATH_MAX, "%s", path);
    } else {
        char at[PATH_MAX / 2], link[64];
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        ssize_t got = readlink(link, at, sizeof at - 1);
        if (got <= 0) return 0;
        at[got] = 0;
        snprintf(whole, PATH_MAX, "%s/%.2000s", at, path);
    }
    return is_below(whole);
}

static int of_fd(int fd, char *whole) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, whole, PATH_MAX - 1);
    if (got <= 0) return 0;
    whole[got] = 0;
    return is_below(whole);
}

static unsigned long hash(unsigned long h, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 1099511628211UL;
    return h;
}

/* Names a kind of call on a file: numbers of processes, times, digests and random letters in it do not count. */
static unsigned long key_of(const char *kind, const char *path, const char *type, size_t type_length) {
    unsigned long h = hash(hash(14695981039346656037UL, kind, strlen(kind)), type, type_length);
    const char *name = strrchr(path, '/');
    const char *end = path + strlen(path), *random = name && strstr(name, "/.new-") == name ? strrchr(name, '.') : NULL;
    if (random) {
        end = random;
        while (end > name && end[-1] != '.') end--;
    }
    const char *queue = strstr(path, "/landing/");
    if (queue) end = queue + 1;
    for (const char *at = path; at < end;) {
        size_t run = strspn(at, "0123456789abcdef");
        if (run >= 8 || (name && at > name && strncmp(at, "tmp_", 4) == 0)) {
            h = hash(h, "#", 1);
            at = run >= 8 ? at + run : end;
        } else {
            run = run ? run : 1;
            h = hash(h, at, run);
            at += run;
        }
    }
    return h ? h : 1;
}

/* Whether it is the turn of this kind of call on this file to fail. */
static int its_turn(unsigned long key, unsigned long each) {
    for (unsigned long i = key % SLOTS, tried = 0; tried < SLOTS; i = (i + 1) % SLOTS, tried++) {
        unsigned long found = atomic_load(&control->slots[i].key);
        if (!found && atomic_compare_exchange_strong(&control->slots[i].key, &found, key)) {
            atomic_fetch_add(&control->targets, 1);
            found = key;
        }
        if (found == key) {
            unsigned long nth = atomic_fetch_add(&control->slots[i].calls, 1);
            return nth % 2 == 0 && nth / 2 < each;
        }
    }
    return 0;
}

/* Whether this call fails; errno says how then. */
static int fails(const char *kind, const char *whole, const void *data, size_t n, const int *errors, int choices) {
    if (!control || !atomic_load(&control->on)) return 0;
    unsigned long number = atomic_fetch_add(&control->count, 1);
    unsigned long first = atomic_load(&control->first), every = atomic_load(&control->every);
    unsigned long each = atomic_load(&control->each);
    if (each) {
        const char *type = data ? memmem(data, n, "\"type\":\"", 8) : NULL, *quote;
        size_t left = type ? n - (type - (const char *)data) - 8 : 0;
        quote = type ? memchr(type + 8, '"', left) : NULL;
        unsigned long key = key_of(kind, whole, quote ? type + 8 : "", quote ? quote - type - 8 : 0);
        if ((first > 1 && (key >> 20) % first) || !its_turn(key, each)) return 0;
    } else if (number < first || (every ? (number - first) % every : number != first)) return 0;
    unsigned long nth = atomic_fetch_add(&control->failed, 1);
    int error = errors[(first + nth) % choices];
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%s %d %s\n", kind, error, whole);
    unsigned long at = atomic_fetch_add(&control->used, length);
    if (at + length < LOG) memcpy(control->log + at, line, length);
    errno = error;
    return 1;
}

#define LIST(...) (const int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int)
#define FAILS(kind, whole, ...) fails(kind, whole, NULL, 0, LIST(__VA_ARGS__))

int open(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "open");
    mode_t mode = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
    char whole[PATH_MAX];
    if (control && (flags & (O_CREAT | O_WRONLY | O_RDWR)) && of_path(AT_FDCWD, path, whole) &&
        FAILS("open", whole, ENOSPC, EMFILE, EIO))
        return -1;
    return real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
    return open(path, flags | O_LARGEFILE, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    static int (*real)(int, const char *, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "openat");
    mode_t mode = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
    char whole[PATH_MAX];
    if (control && (flags & (O_CREAT | O_WRONLY | O_RDWR)) && of_path(folder, path, whole) &&
        FAILS("open", whole, ENOSPC, EMFILE, EIO))
        return -1;
    return real(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
    return openat(folder, path, flags | O_LARGEFILE, mode);
}

#define BY_FD(kind, result, name, parameters, arguments, ...)                                \
    result name parameters {                                                                 \
        static result (*real) parameters;                                                    \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                           \
        char whole[PATH_MAX];                                                                \
        if (control && of_fd(fd, whole) && FAILS(kind, whole, __VA_ARGS__)) return -1;       \
        return real arguments;                                                               \
    }
#define BY_PATH(kind, name, parameters, arguments, folder, path, ...)                        \
    int name parameters {                                                                    \
        static int (*real) parameters;                                                       \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                           \
        char whole[PATH_MAX];                                                                \
        if (control && of_path(folder, path, whole) && FAILS(kind, whole, __VA_ARGS__)) return -1; \
        return real arguments;                                                               \
    }

ssize_t write(int fd, const void *data, size_t n) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    char whole[PATH_MAX];
    if (control && of_fd(fd, whole) && fails("write", whole, data, n, LIST(ENOSPC, EIO, EDQUOT))) return -1;
    return real(fd, data, n);
}
BY_FD("write", ssize_t, pwrite, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at), ENOSPC, EIO)
BY_FD("write", ssize_t, pwrite64, (int fd, const void *data, size_t n, off64_t at), (fd, data, n, at), ENOSPC, EIO)
BY_FD("write", ssize_t, writev, (int fd, const struct iovec *data, int n), (fd, data, n), ENOSPC, EIO)
BY_FD("write", int, ftruncate, (int fd, off_t size), (fd, size), EIO)
BY_FD("write", int, ftruncate64, (int fd, off64_t size), (fd, size), EIO)
BY_FD("write", int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n), ENOSPC, EDQUOT)
BY_FD("sync", int, fsync, (int fd), (fd), EIO, ENOSPC)
BY_FD("sync", int, fdatasync, (int fd), (fd), EIO, ENOSPC)
BY_FD("sync", int, syncfs, (int fd), (fd), EIO)
BY_FD("lock", int, flock, (int fd, int how), (fd, how), ENOLCK)
BY_PATH("name", rename, (const char *old, const char *new), (old, new), AT_FDCWD, new, ENOSPC, EIO)
BY_PATH("name", renameat, (int a, const char *old, int b, const char *new), (a, old, b, new), b, new, ENOSPC, EIO)
BY_PATH("name", renameat2, (int a, const char *old, int b, const char *new, unsigned how), (a, old, b, new, how), b, new, ENOSPC, EIO)
BY_PATH("name", mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, ENOSPC, EIO)
BY_PATH("name", mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode), folder, path, ENOSPC)
BY_PATH("name", link, (const char *old, const char *new), (old, new), AT_FDCWD, new, ENOSPC, EIO)
BY_PATH("name", linkat, (int a, const char *old, int b, const char *new, int how), (a, old, b, new, how), b, new, ENOSPC)
BY_PATH("name", symlink, (const char *to, const char *path), (to, path), AT_FDCWD, path, ENOSPC)

pid_t fork(void) {
    static pid_t (*real)(void);
    if (!real) real = dlsym(RTLD_NEXT, "fork");
    if (control && FAILS("fork", "-", EAGAIN, ENOMEM)) return -1;
    return real();
}

/* A wrapper of the real vfork would return into a stack that its child has already used. */
pid_t vfork(void) { return fork(); }

/* SQLite's locks. */
static int locks(int fd, int command, void *given, int (*real)(int, int, ...)) {
    char whole[PATH_MAX];
    if (control && (command == F_SETLK || command == F_SETLKW) && of_fd(fd, whole) && FAILS("lock", whole, ENOLCK, EIO))
        return -1;
    return real(fd, command, given);
}
int fcntl(int fd, int command, ...) {
    static int (*real)(int, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "fcntl");
    va_list rest;
    va_start(rest, command);
    void *given = va_arg(rest, void *);
    va_end(rest);
    return locks(fd, command, given, real);
}
int fcntl64(int fd, int command, ...) {
    static int (*real)(int, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "fcntl64");
    va_list rest;
    va_start(rest, command);
    void *given = va_arg(rest, void *);
    va_end(rest);
    return locks(fd, command, given, real);
}

/* Lets User-mode Linux run on processors whose vector registers are larger than it knows.

   It reads and writes the registers of its processes with a buffer of a fixed size. The real kernel refuses to write
   less than all of them, so on a processor with AVX-512 or AMX the first program already ends with a panic. This
   library keeps the whole of what was read, by the buffer that the program reads into, and writes the whole back.
   Preloaded before libc. */

#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LARGEST = 16384, SLOTS = 1 << 16 };

struct whole {
  const void *of;
  size_t size;
  char bytes[LARGEST];
};

static struct whole *slots[SLOTS];

static struct whole *whole_of(const void *buffer) {
  size_t at = ((uintptr_t)buffer >> 6) * 2654435761u % SLOTS;
  while (slots[at] != NULL && slots[at]->of != buffer) at = (at + 1) % SLOTS;
  if (slots[at] == NULL) {
    slots[at] = calloc(1, sizeof *slots[at]);
    slots[at]->of = buffer;
  }
  return slots[at];
}

static long ask(long request, long pid, long what, void *data) { return syscall(SYS_ptrace, request, pid, what, data); }

static long read_whole(struct whole *whole, long pid) {
  struct iovec all = {whole->bytes, LARGEST};
  if (ask(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &all) < 0) return -1;
  whole->size = all.iov_len;
  return 0;
}

static long vectors(long request, long pid, struct iovec *part) {
  struct whole *whole = whole_of(part->iov_base);
  if ((request == PTRACE_GETREGSET || whole->size == 0) && read_whole(whole, pid) < 0) return -1;
  if (part->iov_len > whole->size) part->iov_len = whole->size;
  if (request == PTRACE_GETREGSET) {
    memcpy(part->iov_base, whole->bytes, part->iov_len);
    return 0;
  }
  memcpy(whole->bytes, part->iov_base, part->iov_len);
  struct iovec all = {whole->bytes, whole->size};
  return ask(request, pid, NT_X86_XSTATE, &all);
}

long ptrace(enum __ptrace_request request, ...) {
  va_list list;
  va_start(list, request);
  long pid = va_arg(list, int), what = (long)va_arg(list, void *);
  void *data = va_arg(list, void *);
  va_end(list);
  if ((request == PTRACE_GETREGSET || request == PTRACE_SETREGSET) && what == NT_X86_XSTATE)
    return vectors(request, pid, data);
  if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
    long found;
    if (ask(request, pid, what, &found) < 0) return -1;
    errno = 0;
    return found;
  }
  return ask(request, pid, what, data);
}

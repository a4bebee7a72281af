/* Frames of the kinds that compilers make; built by the tests without frame pointers. */
#include <stdlib.h>
#include <string.h>
#include <alloca.h>

typedef void hook(void);

static hook *current;

static int compare(const void *one, const void *two)
{
    if (current) {
        hook *once = current;
        current = 0;
        once();
    }
    return *(const int *)one - *(const int *)two;
}

/* Through a function of the C library. */
int through_qsort(hook *call)
{
    int numbers[16];
    for (int i = 0; i < 16; i++)
        numbers[i] = 16 - i;
    current = call;
    qsort(numbers, 16, sizeof *numbers, compare);
    return numbers[0];
}

__attribute__((noinline)) static void fill(char *bytes, size_t len)
{
    memset(bytes, 7, len);
    __asm__ volatile("" : : "r"(bytes) : "memory");
}

/* A stack aligned by the function itself. */
int through_realigned(hook *call)
{
    char bytes[256] __attribute__((aligned(128)));
    fill(bytes, sizeof bytes);
    call();
    return bytes[17];
}

/* A frame whose length is known at run time. */
int through_variable(hook *call, size_t len)
{
    char *bytes = alloca(len);
    fill(bytes, len);
    call();
    return bytes[len - 1];
}

int through_both(hook *call, size_t len)
{
    char aligned[64] __attribute__((aligned(64)));
    char *bytes = alloca(len);
    fill(aligned, sizeof aligned);
    fill(bytes, len);
    call();
    return bytes[len - 1] + aligned[3];
}

/* Faults in its first instruction if the address is bad. */
long peek(const long *address)
{
    return *address;
}

#ifdef __x86_64__
/* A frame that is found by a register which is neither rsp nor rbp. */
int through_r12(hook *call);
__asm__(".text\n"
        ".globl through_r12\n"
        ".type through_r12, @function\n"
        "through_r12:\n"
        ".cfi_startproc\n"
        "push %r12\n"
        ".cfi_def_cfa_offset 16\n"
        ".cfi_offset %r12, -16\n"
        "mov %rsp, %r12\n"
        ".cfi_def_cfa_register %r12\n"
        "and $-64, %rsp\n"
        "call *%rdi\n"
        "mov %r12, %rsp\n"
        ".cfi_def_cfa_register %rsp\n"
        "pop %r12\n"
        ".cfi_def_cfa_offset 8\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size through_r12, .-through_r12\n");

/* A frame pointer and no table, as generated code may have it. */
int through_untabled(hook *call);
__asm__(".text\n"
        ".globl through_untabled\n"
        ".type through_untabled, @function\n"
        "through_untabled:\n"
        "push %rbp\n"
        "mov %rsp, %rbp\n"
        "call *%rdi\n"
        "pop %rbp\n"
        "ret\n"
        ".size through_untabled, .-through_untabled\n");
#endif

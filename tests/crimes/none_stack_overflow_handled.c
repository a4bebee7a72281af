/* Not ours: the stack overflows, and the program's handler says so on its alternate stack. */
#include <signal.h>
#include <unistd.h>

static char stack_memory[65536];

static void on_fault(int number)
{
    char *here = (char *)&number;
    int ours = here >= stack_memory && here < stack_memory + sizeof stack_memory;
    _exit(write(1, "overflowed\n", 11) == 11 && ours ? 3 : 4);
}

static int recurse(int depth) { volatile char pad[999] = { depth }; return recurse(9) + *pad; }

int main(void)
{
    stack_t stack = { .ss_sp = stack_memory, .ss_size = sizeof stack_memory };
    struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_ONSTACK };
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    return recurse(1);
}

/* The crime inside a signal handler that runs on the alternate stack of the program. */
#include "twin.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile char *block;
static char stack_memory[65536];

static void on_signal(int number) { block[TWIN(16, 15)] = number; } // CRIME

int main(void)
{
    stack_t stack = { .ss_sp = stack_memory, .ss_size = sizeof stack_memory };
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
    block = malloc(16); // ALLOCATED
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    puts("handled");
    return 0;
}

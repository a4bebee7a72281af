/* The crime inside a signal handler that blocks every other signal. */
#include "twin.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile char *block;

static void on_signal(int number)
{
    block[TWIN(16, 15)] = number; // CRIME
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    sigfillset(&action.sa_mask);
    block = malloc(16); // ALLOCATED
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    puts("handled");
    free((void *)block);
    return 0;
}

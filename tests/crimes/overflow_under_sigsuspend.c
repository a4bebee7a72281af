/* The crime in a handler that runs while sigsuspend blocks every other signal. */
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
    sigset_t others;
    sigfillset(&others), sigdelset(&others, SIGUSR1);
    block = malloc(16); // ALLOCATED
    signal(SIGUSR1, on_signal);
    sigprocmask(SIG_BLOCK, &(sigset_t){ { 1 << (SIGUSR1 - 1) } }, NULL);
    raise(SIGUSR1);
    sigsuspend(&others);
    free((void *)block);
    return 0;
}

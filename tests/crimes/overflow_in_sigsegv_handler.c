/* The crime in the program's own handler of SIGSEGV, after a fault that is not ours. */
#include "twin.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void on_fault(int number)
{
    volatile char *message = malloc(16); // ALLOCATED
    message[TWIN(16, 15)] = number; // CRIME
    _exit(message[15] != number);
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_fault };
    volatile int *volatile nowhere = NULL;
    sigfillset(&action.sa_mask);
    sigaction(SIGSEGV, &action, NULL);
    return *nowhere;
}

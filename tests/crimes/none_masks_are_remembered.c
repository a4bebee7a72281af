/* Not ours: the masks of handlers are given back as the program gave them. */
#include <signal.h>
#include <stdio.h>

static void nothing(int number) { (void)number; }

static void show(int number)
{
    struct sigaction old;
    sigaction(number, NULL, &old);
    printf("%d: %d", number, old.sa_handler == nothing);
    for (int other = 1; other < 32; other++)
        printf(" %d", sigismember(&old.sa_mask, other));
    printf(" %x\n", old.sa_flags & (SA_NODEFER | SA_RESETHAND | SA_SIGINFO | SA_ONSTACK));
}

int main(void)
{
    struct sigaction action = { .sa_handler = nothing, .sa_flags = SA_RESETHAND };
    sigfillset(&action.sa_mask);
    for (int i = 0, all[] = { SIGBUS, SIGUSR1, SIGSEGV }; i < 3; i++)
        sigaction(all[i], &action, NULL), show(all[i]), raise(all[i]), show(all[i]);
    signal(SIGUSR1, nothing), show(SIGUSR1);
}

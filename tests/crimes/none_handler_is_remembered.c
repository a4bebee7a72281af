/* Not ours: what the program asks about its handlers is what it has set. */
#include <signal.h>
#include <stdio.h>

static void on_fault(int number) { (void)number; }

int main(void)
{
    struct sigaction old, action = { .sa_handler = on_fault, .sa_flags = SA_RESTART };
    sigaction(SIGSEGV, NULL, &old);
    printf("%d", old.sa_handler == SIG_DFL);
    sigaction(SIGSEGV, &action, &old);
    printf(" %d", old.sa_handler == SIG_DFL);
    sigaction(SIGSEGV, NULL, &old);
    printf(" %d %d", old.sa_handler == on_fault, (old.sa_flags & SA_RESTART) != 0);
    printf(" %d", signal(SIGSEGV, SIG_IGN) == on_fault);
    printf(" %d\n", signal(SIGSEGV, SIG_DFL) == SIG_IGN);
    return 0;
}

/* Not ours: a handler for one time returns, and the second fault kills. */
#include <signal.h>
#include <unistd.h>

static void on_fault(int number)
{
    if (write(1, "once\n", 5) != 5)
        _exit(number);
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_RESETHAND };
    sigaction(SIGSEGV, &action, NULL);
    volatile int *volatile nowhere = NULL;
    return *nowhere;
}

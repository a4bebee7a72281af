/* Not ours: inside its handler SIGSEGV is blocked, so that a second fault kills. */
#include <signal.h>
#include <unistd.h>

static void on_fault(int number)
{
    volatile int *volatile nowhere = NULL;
    if (write(1, "once\n", 5) == 5)
        _exit(*nowhere);
}

int main(void)
{
    volatile int *volatile nowhere = NULL;
    signal(SIGSEGV, on_fault);
    return *nowhere;
}

/* Not ours: the program sends itself SIGSEGV. */
#include <signal.h>
#include <stdio.h>

int main(void)
{
    puts("before");
    fflush(stdout);
    raise(SIGSEGV);
    puts("after");
    return 0;
}

/* Not ours: a null dereference dies by SIGSEGV, as ever. */
#include <stdio.h>

int main(void)
{
    puts("before");
    fflush(stdout);
    volatile int *volatile nowhere = NULL;
    return *nowhere;
}

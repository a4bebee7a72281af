/* Not ours: the handler of the program jumps out of a null dereference, three times. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>

static sigjmp_buf recovery;

static void on_fault(int number) { siglongjmp(recovery, number); }

int main(void)
{
    volatile int *volatile nowhere = NULL;
    puts("before");
    signal(SIGSEGV, on_fault);
    for (volatile int i = 0; i < 3; i++) {
        int number = sigsetjmp(recovery, 1);
        if (number == 0)
            *nowhere = 1;
        printf("recovered from %d\n", number);
    }
    return 5;
}

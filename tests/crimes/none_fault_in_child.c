/* Not ours: a child dies by a null dereference, and its parent sees how. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    int status = 0;
    if (fork() == 0)
        _exit(*(volatile int *volatile)8);
    wait(&status);
    printf("%d %d\n", WIFSIGNALED(status), WTERMSIG(status));
    return 0;
}

/* A block grows by one page; behind the new end is still no more room. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *p = malloc(4096);
    p[4095] = 9;
    volatile char *q = realloc(p, 8192); // ALLOCATED
    q[TWIN(8192, 8191)] = 1; // CRIME
    printf("%d\n", q[4095]);
    free((void *)q);
    return 0;
}

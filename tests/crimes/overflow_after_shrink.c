/* Writes a byte that the block had before it was made smaller. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *p = malloc(4096);
    p[31] = 9;
    volatile char *q = realloc(p, 32); // ALLOCATED
    q[TWIN(40, 30)] = 1; // CRIME
    printf("%d\n", q[31]);
    free((void *)q);
    return 0;
}

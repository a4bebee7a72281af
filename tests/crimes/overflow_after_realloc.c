/* Writes behind a block that has grown. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *p = malloc(16);
    p[15] = 9;
    volatile char *q = realloc(p, 64); // ALLOCATED
    q[TWIN(64, 63)] = 1; // CRIME
    printf("%d\n", q[15]);
    free((void *)q);
    return 0;
}

/* Reads behind an array that has grown. */
#define _GNU_SOURCE
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    int *p = reallocarray(NULL, 4, sizeof *p);
    p[3] = 33;
    volatile int *q = reallocarray(p, 40, sizeof *q); // ALLOCATED
    int n = q[TWIN(40, 3)]; // CRIME
    printf("%d\n", n > 0);
    free((void *)q);
    return 0;
}

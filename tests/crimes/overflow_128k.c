/* Reads behind a block of exactly 128 KiB. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile int *p = calloc(32768, sizeof *p); // ALLOCATED
    int n = p[TWIN(32768, 32767)]; // CRIME
    printf("%d\n", n);
    free((void *)p);
    return 0;
}

/* Reads the first byte of a block that has none. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *p = calloc(0, 8); // ALLOCATED
    int sum = 0;
    for (int i = 0; i < TWIN(1, 0); i++)
        sum += p[i]; // CRIME
    printf("%d\n", sum);
    free((void *)p);
    return 0;
}

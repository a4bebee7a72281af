/* Reads a freed block. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile int *freed = calloc(10, sizeof *freed); // ALLOCATED
    volatile int *live = calloc(10, sizeof *live);
    free((void *)freed); // FREED
    printf("%d\n", TWIN(freed, live)[0]); // CRIME
    free((void *)live);
    return 0;
}

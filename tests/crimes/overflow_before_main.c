/* The crime before main has begun. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

static volatile char *block;

__attribute__((constructor)) static void before_main(void)
{
    block = malloc(48); // ALLOCATED
    block[TWIN(48, 47)] = 1; // CRIME
}

int main(void)
{
    printf("%d\n", block[47]);
    return 0;
}

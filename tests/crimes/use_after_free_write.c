/* Writes the last byte of a freed block. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile char *freed = malloc(100); // ALLOCATED
    volatile char *live = malloc(100);
    free((void *)freed); // FREED
    TWIN(freed, live)[99] = 1; // CRIME
    puts("written");
    free((void *)live);
    return 0;
}

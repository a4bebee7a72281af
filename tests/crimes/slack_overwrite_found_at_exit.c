/* The slack of a block that nobody ever frees is written. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

volatile char *kept;

int main(void)
{
    kept = malloc(21); // ALLOCATED
    kept[TWIN(21, 20)] = 1; // CRIME
    puts("written");
    return 0;
}

/* Writes a freed array through a pointer to its last element. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    double *numbers = calloc(1000, sizeof *numbers); // ALLOCATED
    volatile double *last = &numbers[999];
    free(TWIN(numbers, NULL)); // FREED
    *last = 0.5; // CRIME
    puts("written");
    return 0;
}

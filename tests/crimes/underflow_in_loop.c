/* The loop that counts down once too often. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    int *numbers = malloc(10 * sizeof *numbers); // ALLOCATED
    for (int i = 9; i >= TWIN(-1, 0); i--)
        numbers[i] = i; // CRIME
    printf("%d\n", numbers[9]);
    free(numbers); // FOUND
    return 0;
}

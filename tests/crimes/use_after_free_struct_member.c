/* Reads a member of a freed struct. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

struct person { char name[24]; int age; };

int main(void)
{
    struct person *alice = calloc(1, sizeof *alice); // ALLOCATED
    struct person *bob = calloc(1, sizeof *bob);
    free(alice); // FREED
    printf("%d\n", TWIN(alice, bob)->age); // CRIME
    free(bob);
    return 0;
}

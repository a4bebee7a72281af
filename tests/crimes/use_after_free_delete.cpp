// Reads a deleted object.
#include "twin.h"
#include <cstdio>

struct Account { long number = 1, balance = 2; };

int main()
{
    Account *gone = new Account; // ALLOCATED
    Account *live = new Account;
    delete gone; // FREED
    std::printf("%ld\n", TWIN(gone, live)->balance); // CRIME
    delete live;
}

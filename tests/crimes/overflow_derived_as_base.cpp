// A cast makes a small object of a large class: the added member lies behind it.
#include "twin.h"
#include <cstdio>

struct Base { long a = 1, b = 2; };
struct Derived : Base { long c = 3; };

int main()
{
    Base *base = TWIN(new Base, new Derived); // ALLOCATED
    volatile long *c = &static_cast<Derived *>(base)->c;
    *c = 4; // CRIME
    std::puts("written");
    ::operator delete(base);
}

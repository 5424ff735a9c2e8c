#include "base/number.h"

#include <math.h>
#include <stdlib.h>

int64_t number_bound(int64_t number)
{
	return number > NUMBER_MAX ? NUMBER_MAX : number < -NUMBER_MAX ? -NUMBER_MAX : number;
}

double number_read(const char *text)
{
	double number = strtod(text, NULL);

	return isnan(number) ? 0 : fmax(fmin(number, (double)NUMBER_MAX), (double)-NUMBER_MAX);
}

"""All orders."""

from headway.domain.order import Order
from headway.domain.orders.amend import Amend
from headway.domain.orders.pause import Pause
from headway.domain.orders.resume import Resume
from headway.domain.orders.set_limits import SetLimits

ORDERS: tuple[type[Order], ...] = (Amend, Pause, Resume, SetLimits)
"""A tuple and no walk over the package: workflows read no files."""

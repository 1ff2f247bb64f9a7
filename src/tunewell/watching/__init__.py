"""One model trained under a person's eye: what a terminal page shows of a trial, and what may be typed there.

The page reads a study as anybody may and writes wishes into it, as :mod:`tunewell.steering` does; it trains nothing and
decides nothing. All but :mod:`tunewell.watching.page` is a function of the history and of what is typed.
"""

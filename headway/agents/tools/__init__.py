"""The tools that the two kinds of agents are offered: names, arguments and descriptions."""

"""What commands share, whatever they do: how they are stopped, and how several run side by side.

Only the command line imports it; what a command does is the business of the other rooms.
"""

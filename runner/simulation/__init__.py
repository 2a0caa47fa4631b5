"""An exchange as values: matching, accounts, the life of an order, a crowd of traders, and dice."""

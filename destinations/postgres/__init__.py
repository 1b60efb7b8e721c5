"""Keep a store in PostgreSQL: for several processes, on one machine or many."""

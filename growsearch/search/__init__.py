"""How is a space searched? Studies, samplers and backends; the only place that knows Ray."""

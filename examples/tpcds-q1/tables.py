"""The four tables of the query, each parsed by a component of its own and kept in a memory component.

Only the columns that the query reads are kept. Keys and amounts are float64, because they have missing values (NaN).
"""

import pandas as pd
from sandloom import remote, split


def read_table(data, name, columns):
    table = pd.read_csv(f"{data}/{name}.csv", sep="|", usecols=columns)[columns]
    print(f"{name}: {len(table):,} rows")
    return table


@split
@remote
def store_returns(data):
    columns = ["sr_returned_date_sk", "sr_customer_sk", "sr_store_sk", "sr_return_amt"]
    table = read_table(data, "store_returns", columns)
    # Whole cents: float64 holds their sums exactly, in any order, as DECIMAL does.
    table["cents"] = (table["sr_return_amt"] * 100).round()
    return table.drop(columns="sr_return_amt")


@split
@remote
def dates_of_year(data, year):
    table = read_table(data, "date_dim", ["d_date_sk", "d_year"])
    return table.loc[table["d_year"] == year, ["d_date_sk"]]


@split
@remote
def stores_in_state(data, state):
    table = read_table(data, "store", ["s_store_sk", "s_state"])
    return table.loc[table["s_state"] == state, ["s_store_sk"]]


@split
@remote
def customers(data):
    return read_table(data, "customer", ["c_customer_sk", "c_customer_id"])

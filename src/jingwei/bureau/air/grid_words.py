"""What is wrong with a gridded file of weather, or was assumed of it, in the reader's language.

The readers (`analysis.air.gridded`, `meteorology`) speak English and know no translations; they keep
the text and its figures apart. What a library says of a broken file stays as it is, in parentheses.
"""

from __future__ import annotations

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from jingwei.analysis.air.field.tables import FieldError, GridError, Said

TEXTS = (
    _("lacks %(lacking)s under any known name (it has %(has)s); say which is which by `names`"),
    _("has no '%(name)s' (it has %(has)s)"),
    _("cannot be read as GRIB (no field in it)"),
    _(
        "the grid of %(name)s is %(grid)s, not even in longitude and latitude: interpolate "
        "it first (for example cdo remapbil)"
    ),
    _("the grid of %(name)s has holes"),
    _(
        "has %(name)s (%(level)s) more than once for %(time)s: several members or runs in "
        "one file; cut out one of them"
    ),
    _("GRIB needs ecCodes: install jingwei[grib] (%(error)s)"),
    _("cannot be read as GRIB in field %(number)d (%(error)s)"),
    _("the grid of %(name)s at %(time)s is not that of the others"),
    _("NetCDF needs xarray: install jingwei[grids] (%(error)s)"),
    _("cannot be read as NetCDF (%(error)s)"),
    _("the grid is not even in longitude and latitude"),
    _(
        "%(name)s is no row of times (units such as 'hours since 2024-05-01' are missing, or "
        "there are several runs)"
    ),
    _("cannot be read as GRIB (%(error)s)"),
    _("has no time, latitude and longitude for '%(name)s' (it has %(has)s)"),
    _("wanted two times at least, one after another"),
    _("%(name)s is there at %(levels)s only, wanted %(wanted)s (m)"),
    _("%(name)s has the unit '%(unit)s' (a sum over the step), wanted one of %(wanted)s"),
    _("%(name)s has the unit '%(unit)s', wanted one of %(wanted)s"),
    _("%(name)s is no mean and no instant but '%(kind)s'"),
    _("%(name)s is missing in %(n)d cells, first at %(time)s"),
    _("one row of cells is no grid"),
    _("covers less than two cells of %(size)g m"),
    _("has less than an hour, %(first)s to %(last)s"),
    _(
        "covers %(east).0f x %(north).0f km, %(hours)d hours: more than %(most)d values; cut "
        "out the region first, or take a larger cell"
    ),
    _("no unit of %(names)s: taken as SI (m/s, m, W/m², K)"),
    _("%(name)s is on another grid than %(wind)s"),
    _("ends after %(whole)d of %(hours)d hours (%(last)s)"),
    _("times are up to %(gap)g h apart: interpolated"),
    _("%(name)s is there from %(first)s to %(last)s only, the wind from %(begin)s to %(end)s"),
    _("%(name)s is %(kelvin)g K on average"),
    _("no temperature: 288 K"),
    _("no friction velocity: from the wind and a roughness of the whole area"),
    _("no heat flux: the air is taken as neutral, day and night"),
    _("no depth of the boundary layer: from the friction velocity"),
    _("%(name)s is at %(level)s: taken as %(wanted)s"),
    _("%(name)s is there from %(first)s to %(last)s: its first and last go on"),
    _("%(name)s is a mean over the step that ends at its time"),
)


def said(text: str) -> str:
    """A note of the readers."""
    return gettext(text.text) % text.about if isinstance(text, Said) else text


def why(error: FieldError) -> str:
    """What is wrong, without the name of the file."""
    return said(error.said) if isinstance(error, GridError) else str(error)

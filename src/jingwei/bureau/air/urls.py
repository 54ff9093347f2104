from django.urls import path

from jingwei.bureau.air import (
    analysis_views,
    apportion_views,
    dispersion_views,
    episode_views,
    forecast_views,
    hotgrid_views,
    profile_views,
    scene_views,
    views,
    way_views,
)

app_name = "air"
urlpatterns = [
    path("analysis/", analysis_views.time, name="analysis"),
    path("analysis/series.csv", analysis_views.time_csv, name="analysis_csv"),
    path("analysis/wind/", analysis_views.winds, name="wind"),
    path("analysis/wind.csv", analysis_views.winds_csv, name="wind_csv"),
    path("analysis/trajectories/", way_views.ways, name="ways"),
    path("analysis/trajectories.csv", way_views.ways_csv, name="ways_csv"),
    path("analysis/taylor/", way_views.evaluate, name="taylor"),
    path("analysis/taylor.csv", way_views.evaluate_csv, name="taylor_csv"),
    path("analysis/trend/", analysis_views.trend, name="trend"),
    path("analysis/trend.csv", analysis_views.trend_csv, name="trend_csv"),
    path("analysis/year/", analysis_views.year, name="year"),
    path("analysis/year.csv", analysis_views.year_csv, name="year_csv"),
    path("forecast/", forecast_views.forecast, name="forecast"),
    path("forecast/learn/", forecast_views.learn, name="learn"),
    path("forecast/days.csv", forecast_views.days_csv, name="days_csv"),
    path("forecast/stations/<int:station>/", forecast_views.station, name="station"),
    path(
        "forecast/stations/<int:station>/hours.csv", forecast_views.station_csv, name="station_csv"
    ),
    path(
        "forecast/stations/<int:station>/sources.json", forecast_views.sources, name="sources-json"
    ),
    path("traces/", views.traces, name="traces"),
    path("traces/new/", views.new, name="new"),
    path("traces/<int:pk>/", views.trace, name="trace"),
    path("traces/<int:pk>/sources.csv", views.trace_csv, name="trace_csv"),
    path("dispersion/", dispersion_views.dispersions, name="dispersions"),
    path("dispersion/new/", dispersion_views.disperse, name="disperse"),
    path("dispersion/weather.csv", dispersion_views.weather_template, name="weather_template"),
    path("dispersion/amounts/", dispersion_views.amounts, name="amounts"),
    path(
        "dispersion/amounts/template.csv",
        dispersion_views.amounts_template,
        name="amounts_template",
    ),
    path("dispersion/<int:pk>/", dispersion_views.run, name="dispersion"),
    path("dispersion/<int:pk>/cancel/", dispersion_views.cancel, name="dispersion_cancel"),
    path(
        "dispersion/<int:pk>/hours/<int:number>.bin", dispersion_views.hour, name="dispersion_tile"
    ),
    path("dispersion/<int:pk>/place.json", dispersion_views.spot, name="dispersion-json"),
    path("dispersion/<int:pk>/field.nc", dispersion_views.field, name="dispersion_export"),
    path("dispersion/<int:pk>/stations.csv", dispersion_views.stations_csv, name="dispersion_csv"),
    path(
        "dispersion/<int:pk>/outlets.csv",
        dispersion_views.sources_csv,
        name="dispersion_shares_csv",
    ),
    path("episodes/", episode_views.episodes, name="episodes"),
    path("episodes/<int:pk>/", episode_views.episode, name="episode"),
    path("episodes/<int:pk>/decide/", episode_views.decide, name="act"),
    path("episodes/<int:pk>/effect/", hotgrid_views.effect, name="effect"),
    path("episodes/<int:pk>/effect/compute/", hotgrid_views.effect_compute, name="effect_compute"),
    path("hotgrids/", hotgrid_views.hotgrids, name="hotgrids"),
    path("hotgrids/cells.csv", hotgrid_views.hotgrids_csv, name="hotgrids_csv"),
    path("hotgrids/fine.csv", hotgrid_views.fine_csv, name="fine_csv"),
    path("hotgrids/satellite/", scene_views.satellite, name="satellite"),
    path("hotgrids/compute/", hotgrid_views.compute, name="hotgrids_compute"),
    path("hotgrids/cells/<int:pk>/raise/", hotgrid_views.raise_cell, name="raise_cell"),
    path("apportion/", apportion_views.apportion, name="apportion"),
    path("apportion/samples/new/", apportion_views.samples_new, name="samples_new"),
    path(
        "apportion/samples/template.csv",
        apportion_views.samples_template_csv,
        name="samples_template_csv",
    ),
    path("apportion/samples/<int:pk>/", apportion_views.samples, name="samples"),
    path("apportion/samples/<int:pk>/ask/", apportion_views.samples_ask, name="samples_ask"),
    path("apportion/profiles/", profile_views.profiles, name="profiles"),
    path("apportion/profiles/new/", profile_views.hand_in, name="profiles_new"),
    path("apportion/profiles/profiles.csv", profile_views.profiles_csv, name="profiles_csv"),
    path(
        "apportion/profiles/template.csv", profile_views.template_csv, name="profiles_template_csv"
    ),
    path("apportion/profiles/<int:pk>/withdraw/", profile_views.withdraw, name="profile_withdraw"),
    path("apportion/<int:pk>/", apportion_views.apportionment, name="apportionment"),
    path(
        "apportion/<int:pk>/table.csv", apportion_views.apportionment_csv, name="apportionment_csv"
    ),
    path("report/", forecast_views.report, name="report"),
]
